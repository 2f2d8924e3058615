package router

import (
	"time"

	"github.com/telamondb/telamon/router/lex"
)

// Target says which server a statement runs on.
type Target uint8

// The targets. The zero value is the safe one.
const (
	// Primary: the primary; the pinned connection if there is one.
	Primary Target = iota
	// Replica: any replica that satisfies Tag, Backend, MaxLag and
	// Consistency, or what the configuration says if there is none.
	Replica
	// Last: the connection that ran the session's previous statement; the
	// primary if there is none.
	Last
	// Deny: none; the client gets the error Decision.Deny.
	Deny
)

// String returns "primary", "replica", "last" or "deny".
func (t Target) String() string {
	switch t {
	case Primary:
		return "primary"
	case Replica:
		return "replica"
	case Last:
		return "last"
	case Deny:
		return "deny"
	}
	return "invalid"
}

// Listener is the kind of port the client came in by.
type Listener uint8

// The kinds of ports.
const (
	Auto      Listener = iota // listen: splits
	WriteOnly                 // listen_write: everything to the primary
	ReadOnly                  // listen_read: reads to replicas, writes refused
)

// Consistency is what a read has to see.
type Consistency uint8

// The levels. ConsistencyDefault leaves it to the user's configuration.
const (
	ConsistencyDefault Consistency = iota
	ConsistencyOff
	ConsistencySession
	ConsistencyGlobal
)

// String returns "default", "off", "session" or "global".
func (c Consistency) String() string {
	switch c {
	case ConsistencyDefault:
		return "default"
	case ConsistencyOff:
		return "off"
	case ConsistencySession:
		return "session"
	case ConsistencyGlobal:
		return "global"
	}
	return "invalid"
}

// SessionView is the part of a session's state that decides.
type SessionView struct {
	// InTransaction and TransactionReadOnly are the status flags
	// SERVER_STATUS_IN_TRANS and SERVER_STATUS_IN_TRANS_READONLY of the last
	// OK or EOF packet. After an ERR packet inside a transaction InTransaction
	// stays set until an OK says otherwise.
	InTransaction       bool
	TransactionReadOnly bool
	// Autocommit is SERVER_STATUS_AUTOCOMMIT of the last OK or EOF packet.
	// Mind the zero value: a fresh session has autocommit on.
	Autocommit bool
	// TransactionOn is the kind of server the open transaction runs on.
	TransactionOn Target
	// LastWasPrimary says that the previous statement ran on the primary.
	LastWasPrimary bool
	// Listener the client came in by.
	Listener Listener
	// Pins the session holds.
	Pins PinSet
	// User is the name the client logged in with.
	User string
}

// Request is what Route decides about.
type Request struct {
	// Facts of the statement; for an EXECUTE those of its prepared text.
	Facts *lex.Facts
	// View of the session before the statement.
	View SessionView
	// Prepared says that this is COM_STMT_EXECUTE. Routing does not depend on
	// it; it is there for those who log requests.
	Prepared bool
}

// Decision is where a statement goes and why.
type Decision struct {
	Target Target
	// Reason of the target, exactly one.
	Reason Reason
	// Consistency the statement asks for.
	Consistency Consistency
	// Read: the statement is proven to be harmless wherever it runs, so that
	// running it twice cannot be told from running it once. That goes for the
	// beginning of a transaction on a replica, too.
	Read bool
	// Pin is added to the session's pins when the statement is sent, whatever
	// its outcome: a failed statement may have taken effect in part.
	Pin PinSet
	// Release is removed from the session's pins when it has succeeded.
	Release PinSet
	// SyntaxErrorIsSafe says that an ERR packet with code 1064 means nothing
	// has been executed, so that Pin may be taken back.
	SyntaxErrorIsSafe bool
	// MaxLag is the replication delay allowed; 0 means as configured.
	MaxLag time.Duration
	// Timeout after which the statement is to be killed; 0 means none.
	Timeout time.Duration
	// Tag restricts replicas to those that have it; "" means any.
	Tag string
	// Backend restricts the choice to the server with this address, which may
	// be the primary's; "" means any. Only set with Target Replica.
	Backend string
	// Deny is the text of the error for Target Deny, DenyCode its number; 0
	// means 1105.
	Deny     string
	DenyCode uint16
}

// Route decides where a statement runs. rules may be nil: the defaults.
func Route(req *Request, rules *Rules) Decision {
	f, v := req.Facts, &req.View
	if isPlainRead(f) && v.isPlain() && rules.isPlain() {
		return Decision{Target: Replica, Reason: ReasonRead, Read: true}
	}
	if rules != nil {
		if reason, text := rules.Guard.check(f); text != "" {
			return Decision{Target: Deny, Reason: reason, Deny: text}
		}
	}
	p := judge(f)
	d := Decision{Pin: pins(f), Release: releases(f, v.Pins), SyntaxErrorIsSafe: syntaxErrorIsSafe(f), Read: p.kind != notARead}
	rule := rules.match(f, v)
	if rule != nil {
		d.Timeout = rule.Timeout
		if rule.Route == RouteDeny {
			return Decision{Target: Deny, Reason: ReasonRuleDeny, Deny: DenyText}
		}
	}
	place(&d, p, f, v, rules, rule)
	if d.Target == Deny {
		d.Pin, d.Release = 0, 0
	}
	return d
}

// isPlainRead is the case worth being fast: nothing special about the text.
func isPlainRead(f *lex.Facts) bool {
	return f.Class == lex.Select && f.Flags&^lex.FlagPlaceholder == 0 && f.Hint.Route == lex.HintNone &&
		f.Hint.MaxLag == nil && f.Hint.Consistency == nil
}

// isPlain reports that nothing in the session's state speaks against a replica.
func (v *SessionView) isPlain() bool {
	return v.Autocommit && !v.InTransaction && v.Listener == Auto && v.Pins == 0
}

// place chooses the target: first what the session's state demands, then what
// the statement is, then what hints and rules ask for.
func place(d *Decision, p proof, f *lex.Facts, v *SessionView, rules *Rules, rule *Rule) {
	switch {
	case v.Listener == WriteOnly:
		d.Target, d.Reason = Primary, ReasonWriteListener
		if v.InTransaction {
			d.Target = v.TransactionOn
		}
	case v.Listener == ReadOnly && refusedOnReadPort(p, f):
		d.Target, d.Reason, d.Deny = Deny, ReasonReadListener, readListenerText
	case v.InTransaction:
		placeInTransaction(d, p, f, v)
	case v.Listener == ReadOnly:
		placeReadOnly(d, p, f, v, rules)
	case !v.Autocommit:
		d.Target, d.Reason = Primary, ReasonAutocommitOff
	case v.Pins.Forces():
		d.Target, d.Reason = Primary, v.Pins.reason()
	case p.target == Last:
		placeLast(d, v)
	case p.kind == notARead && asksReplica(f, v):
		d.Target, d.Reason, d.Deny = Deny, ReasonLastStatement, resultOnReplicaText
	case p.kind == notARead:
		d.Target, d.Reason = Primary, p.reason
		if p.reason == ReasonTransaction && mayBeginOnReplica(f, v, rules) {
			d.Target, d.Reason, d.Read = Replica, ReasonReadOnlyTransaction, true
			constrain(d, f, rules, rule)
		}
	default:
		placeRead(d, p, f, rules, rule)
	}
}

// placeInTransaction keeps a transaction on its server. What needs the primary
// in a transaction on a replica is refused: neither server would be right.
func placeInTransaction(d *Decision, p proof, f *lex.Facts, v *SessionView) {
	if v.TransactionOn != Replica {
		d.Target, d.Reason = Primary, ReasonInTransaction
		return
	}
	d.Target, d.Reason = Replica, ReasonReplicaTransaction
	switch {
	case p.kind == notARead && !endsOrFails(f) || d.Pin != 0:
		d.Target, d.Reason, d.Deny = Deny, ReasonNeedsPrimary, needsPrimaryText
	case f.Classes&dml != 0:
		// What the primary would answer. The replica would say 1290, that it
		// is read-only, which drivers take for a failover.
		d.Target, d.Reason = Deny, ReasonNeedsPrimary
		d.Deny, d.DenyCode = "Cannot execute statement in a READ ONLY transaction", 1792
	}
}

// dml are the statements that a READ ONLY transaction refuses.
const dml = 1<<lex.Insert | 1<<lex.Replace | 1<<lex.Update | 1<<lex.Delete

const (
	needsPrimaryText = "Proxy Warning - this statement needs the primary, but a READ ONLY transaction " +
		"is open on a replica; end it first, or begin it with /*master*/ START TRANSACTION READ ONLY"
	lastOnReplicaText = "Proxy Warning - GET DIAGNOSTICS would set user variables on the replica that ran " +
		"the previous statement; send that one to the primary with /*master*/"
	resultOnReplicaText = "Proxy Warning - FOUND_ROWS(), ROW_COUNT() and warning counts of the previous statement are known " +
		"to the replica that ran it, not to the primary; send that one to the primary with /*master*/"
	readListenerText = "Proxy Warning - this port is for reads only"
)

// endsOrFails reports whether a statement that is no read may be sent into a
// READ ONLY transaction: it controls the transaction, sets a session variable,
// or is refused by the server with 1792.
func endsOrFails(f *lex.Facts) bool {
	const harmless = 1<<lex.Commit | 1<<lex.Rollback | 1<<lex.Savepoint | 1<<lex.Set | 1<<lex.Use |
		1<<lex.Insert | 1<<lex.Replace | 1<<lex.Update | 1<<lex.Delete | 1<<lex.Select | 1<<lex.Empty |
		1<<lex.Explain | 1<<lex.Diagnostics
	const harmful = lex.FlagUserLock | lex.FlagSideEffect | lex.FlagUnknownFunction | lex.FlagSetGlobal |
		lex.FlagUncertain | lex.FlagExecutableComment | lex.FlagInto | lex.FlagSetAutocommit | lex.FlagLocking
	return f.Classes&^harmless == 0 && !f.Flags.Has(harmful)
}

// placeLast sends a question about the previous statement to the connection
// that ran it. If that is a replica's, the answer must not leave a user
// variable there, where no later statement would find it.
func placeLast(d *Decision, v *SessionView) {
	d.Target, d.Reason = Last, ReasonLastStatement
	if d.Pin != 0 && !v.LastWasPrimary {
		d.Target, d.Deny = Deny, lastOnReplicaText
	}
}

// asksReplica reports whether a statement that has to run on the primary asks
// what only a replica knows: FOUND_ROWS() of a SELECT that ran there.
func asksReplica(f *lex.Facts, v *SessionView) bool {
	return f.Flags.Has(lex.FlagLastResult) && f.Statements == 1 && !v.LastWasPrimary
}

// refusedOnReadPort reports whether a statement has no business on listen_read:
// it may change something besides the session.
func refusedOnReadPort(p proof, f *lex.Facts) bool {
	if p.kind != notARead || p.target == Last {
		return false
	}
	switch p.reason {
	case ReasonSet:
		return f.Flags.Has(lex.FlagSetGlobal)
	case ReasonUse, ReasonEmpty, ReasonTransaction, ReasonUserVariable, ReasonLastInsertID, ReasonKill:
		return false
	}
	return true
}

// placeReadOnly decides for clients of listen_read, whose reads go to replicas
// even if the answer depends on the server.
func placeReadOnly(d *Decision, p proof, f *lex.Facts, v *SessionView, rules *Rules) {
	switch {
	case v.Pins.Forces():
		d.Target, d.Reason = Primary, v.Pins.reason()
	case p.target == Last:
		placeLast(d, v)
	case p.kind != notARead:
		placeRead(d, p, f, rules, nil)
		if d.Target == Primary && p.kind == ownRead {
			d.Target, d.Reason = Replica, ReasonReadListener
		}
	case p.reason == ReasonTransaction && mayBeginOnReplica(f, v, rules):
		d.Target, d.Reason, d.Read = Replica, ReasonReadOnlyTransaction, true
	default:
		d.Target, d.Reason = Primary, p.reason
	}
}

// mayBeginOnReplica reports whether a transaction may run on a replica: it is
// READ ONLY and needs nothing that lives in the primary's connection.
func mayBeginOnReplica(f *lex.Facts, v *SessionView, rules *Rules) bool {
	const wrong = lex.FlagReadWriteTrx | lex.FlagExecutableComment | lex.FlagUncertain | lex.FlagUnterminated |
		lex.FlagForeignByte | lex.FlagMultiStatement
	return f.Class == lex.Begin && f.Flags.Has(lex.FlagReadOnlyTrx) && !f.Flags.Has(wrong) &&
		v.Autocommit && v.Pins == 0 && f.Hint.Route != lex.HintPrimary &&
		(rules == nil || !rules.ReadOnlyTrxOnPrimary)
}

// placeRead decides between the servers for a read.
func placeRead(d *Decision, p proof, f *lex.Facts, rules *Rules, rule *Rule) {
	d.Target, d.Reason = Replica, p.reason
	if p.kind == ownRead {
		d.Target = Primary
	}
	switch f.Hint.Route {
	case lex.HintPrimary:
		d.Target, d.Reason = Primary, ReasonHintPrimary
		return
	case lex.HintReplica, lex.HintTag, lex.HintBackend:
		d.Target, d.Reason = Replica, ReasonHintReplica
	default:
		if rule != nil {
			switch rule.Route {
			case RoutePrimary:
				d.Target, d.Reason = Primary, ReasonRulePrimary
				return
			case RouteReplica, RouteTag, RouteBackend:
				d.Target, d.Reason = Replica, ReasonRuleReplica
			}
		}
	}
	if d.Target == Replica {
		constrain(d, f, rules, rule)
	}
}

// constrain fills in what the chosen replica has to satisfy. A hint is
// stronger than a rule.
func constrain(d *Decision, f *lex.Facts, rules *Rules, rule *Rule) {
	if rule != nil {
		switch rule.Route {
		case RouteTag:
			d.Tag = rule.Arg
		case RouteBackend:
			d.Backend = rule.Arg
		}
	}
	switch f.Hint.Route {
	case lex.HintTag:
		d.Tag, d.Backend = rules.knownTag(f.Hint.Arg), ""
	case lex.HintBackend:
		d.Tag, d.Backend = "", rules.knownBackend(f.Hint.Arg)
	}
	if f.Hint.MaxLag != nil {
		d.MaxLag = parseDuration(f.Hint.MaxLag)
	}
	if f.Hint.Consistency != nil {
		d.Consistency = parseConsistency(f.Hint.Consistency)
	}
}
