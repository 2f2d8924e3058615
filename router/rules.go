package router

import (
	"regexp"
	"time"
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
