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
	// Prepared says that this is COM_STMT_EXECUTE.
	Prepared bool
}

// Decision is where a statement goes and why.
type Decision struct {
	Target Target
	// Reason of the target, exactly one.
	Reason Reason
	// Consistency the statement asks for.
	Consistency Consistency
	// Pin is added to the session's pins when the statement is sent, whatever
	// its outcome: a failed statement may have taken effect in part.
	Pin PinSet
	// Release is removed from the session's pins when it has succeeded.
	Release PinSet
	// MaxLag is the replication delay allowed; 0 means as configured.
	MaxLag time.Duration
	// Timeout after which the statement is to be killed; 0 means none.
	Timeout time.Duration
	// Tag restricts replicas to those that have it; "" means any.
	Tag string
	// Backend restricts the choice to the server with this address; "" means
	// any. With Target Primary it is only honoured if it is the primary.
	Backend string
	// Deny is the text of the error (1105) for Target Deny.
	Deny string
}

// Route decides where a statement runs. rules may be nil: the defaults.
func Route(req *Request, rules *Rules) Decision {
	f, v := req.Facts, &req.View
	if f.Class == lex.Select && !v.InTransaction && v.Autocommit && !v.Pins.Forces() {
		return Decision{Target: Replica, Reason: ReasonRead}
	}
	return Decision{Reason: ReasonWrite}
}
