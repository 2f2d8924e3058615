package router

import "github.com/telamondb/telamon/router/lex"

// Explanation is the answer of EXPLAIN ROUTE.
type Explanation struct {
	// Kind is the class of the statement.
	Kind string
	// Target and Reason of the decision, and the reason in a sentence.
	Target, Reason, Detail string
	// Pins the statement adds, separated by commas.
	Pins string
	// Digest in hexadecimal and the normalised text.
	Digest, DigestText string
}

// Explain says what Route would decide about a text in a session.
func Explain(text []byte, mode lex.Mode, view SessionView, rules *Rules) Explanation {
	var f lex.Facts
	lex.Scan(text, mode, &f)
	d := Route(&Request{Facts: &f, View: view}, rules)
	return Explanation{
		Kind: f.Class.String(), Target: d.Target.String(), Reason: d.Reason.String(),
		Detail: d.Reason.Explain(), Pins: d.Pin.String(),
		DigestText: string(lex.DigestText(nil, text, mode)),
	}
}
