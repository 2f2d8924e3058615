package router

import (
	"fmt"

	"github.com/telamondb/telamon/router/lex"
)

// Explanation is the answer of EXPLAIN ROUTE.
type Explanation struct {
	// Kind is the class of the statement, for an EXPLAIN with that of the
	// statement explained.
	Kind string
	// Target and Reason of the decision, and the reason in a sentence.
	Target, Reason, Detail string
	// Constraint is what hints and rules add: "tag=report max_lag=200ms".
	Constraint string
	// Pins the statement adds, separated by commas.
	Pins string
	// Digest in hexadecimal, and the normalised text.
	Digest, DigestText string
}

// Explain says what Route would decide about a text in a session. It is what
// Route does, so the answer is the truth.
func Explain(text []byte, mode lex.Mode, view SessionView, rules *Rules) Explanation {
	var f lex.Facts
	lex.Scan(text, mode, &f)
	d := Route(&Request{Facts: &f, View: view}, rules)
	e := Explanation{
		Kind: f.Class.String(), Target: d.Target.String(), Reason: d.Reason.String(),
		Detail: d.Reason.Explain(), Constraint: d.constraint(), Pins: d.Pin.String(),
		Digest:     fmt.Sprintf("%016x", f.Digest),
		DigestText: string(lex.DigestText(nil, text, mode)),
	}
	if f.Class == lex.Explain {
		e.Kind += " " + f.Inner.String()
	}
	return e
}

func (d *Decision) constraint() string {
	var s string
	add := func(key, value string) {
		if s != "" {
			s += " "
		}
		s += key + "=" + value
	}
	if d.Tag != "" {
		add("tag", d.Tag)
	}
	if d.Backend != "" {
		add("backend", d.Backend)
	}
	if d.MaxLag != 0 {
		add("max_lag", d.MaxLag.String())
	}
	if d.Consistency != ConsistencyDefault {
		add("consistency", d.Consistency.String())
	}
	if d.Timeout != 0 {
		add("timeout", d.Timeout.String())
	}
	return s
}
