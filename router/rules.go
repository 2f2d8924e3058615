package router

import (
	"regexp"
	"time"

	"github.com/telamondb/telamon/router/lex"
)

// Rules is the configured part of routing. It is immutable once in use and may
// be shared by all sessions. The zero value are the defaults without a guard.
type Rules struct {
	// NoReplica says what happens to a read when no replica can serve it. The
	// router does not know; it is carried here for the one who does.
	NoReplica NoReplica
	// ReadOnlyTrxOnPrimary keeps START TRANSACTION READ ONLY on the primary.
	ReadOnlyTrxOnPrimary bool
	// Rules are tried in order, the first that matches counts.
	Rules []Rule
	// Guard refuses dangerous statements.
	Guard Guard
	// Tags and Backends are the names known from the configuration. A hint
	// that names one of them costs no allocation.
	Tags, Backends []string
}

// NoReplica is routing.no_replica.
type NoReplica uint8

// What to do with a read when no replica can serve it.
const (
	NoReplicaPrimary NoReplica = iota
	NoReplicaError
)

// Rule is one [[routing.rules]].
type Rule struct {
	// Name appears in EXPLAIN ROUTE.
	Name string
	// User the rule is for; "" means all.
	User string
	// Match is tried on the digest text; nil matches everything.
	Match *regexp.Regexp
	// Route says where to.
	Route RuleRoute
	// Arg is the tag or the address.
	Arg string
	// Timeout of the statement; 0 means none.
	Timeout time.Duration
}

// RuleRoute is what a rule does.
type RuleRoute uint8

// What a rule does. Only a statement that may run on a replica is sent to one.
const (
	RouteDefault RuleRoute = iota // nothing: the rule only sets the timeout
	RoutePrimary
	RouteReplica
	RouteTag
	RouteBackend
	RouteDeny
)

// Guard is the [guard] section.
type Guard struct {
	// DenyNoWhere refuses UPDATE and DELETE without WHERE.
	DenyNoWhere bool
	// DeniedFunctions are names in lower case of functions nobody may call.
	DeniedFunctions []string
}

// DenyText is the error text for statements the guard refuses, that of Atlas.
const DenyText = "Proxy Warning - Syntax Forbidden"

// isPlain reports that the rules have no say about plain reads. The guard may
// have: it is asked first if there is one.
func (r *Rules) isPlain() bool {
	return r == nil || len(r.Rules) == 0 && len(r.Guard.DeniedFunctions) == 0
}

// match returns the first rule that matches, or nil.
func (r *Rules) match(f *lex.Facts, v *SessionView) *Rule {
	if r == nil || len(r.Rules) == 0 {
		return nil
	}
	var text []byte
	for i := range r.Rules {
		rule := &r.Rules[i]
		if rule.User != "" && rule.User != v.User {
			continue
		}
		if rule.Match != nil {
			if text == nil {
				text = lex.DigestText(nil, f.Stmt, f.Mode)
			}
			if !rule.Match.Match(text) {
				continue
			}
		}
		return rule
	}
	return nil
}

// check returns the error text for a statement the guard refuses, or "".
func (g *Guard) check(f *lex.Facts) (Reason, string) {
	if g.DenyNoWhere && f.Flags.Has(lex.FlagNoWhere) {
		return ReasonGuardNoWhere, DenyText
	}
	if f.Calls != 0 {
		for _, name := range g.DeniedFunctions {
			if f.Calls&lex.FunctionBit(name) != 0 && lex.CallsFunction(f.Stmt, f.Mode, name) {
				return ReasonGuardFunction, DenyText
			}
		}
	}
	if f.Classes&(1<<lex.Prepare|1<<lex.Execute) != 0 && (g.DenyNoWhere || len(g.DeniedFunctions) > 0) {
		return g.checkPrepared(f)
	}
	return 0, ""
}

// checkPrepared looks into PREPARE s FROM '...' and EXECUTE IMMEDIATE '...'.
func (g *Guard) checkPrepared(f *lex.Facts) (Reason, string) {
	text := lex.StringArgument(f.Stmt, f.Mode)
	if text == nil {
		return 0, ""
	}
	var inner lex.Facts
	lex.Scan(text, f.Mode, &inner)
	inner.Classes &^= 1<<lex.Prepare | 1<<lex.Execute // neither can prepare the other
	return g.check(&inner)
}

func (r *Rules) knownTag(name []byte) string {
	if r == nil {
		return string(name)
	}
	return known(r.Tags, name)
}

func (r *Rules) knownBackend(name []byte) string {
	if r == nil {
		return string(name)
	}
	return known(r.Backends, name)
}

// known returns the name as a string, without allocating if it is in the list.
func known(list []string, name []byte) string {
	for _, s := range list {
		if s == string(name) {
			return s
		}
	}
	return string(name)
}
