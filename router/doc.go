// Package router decides where a statement may run: facts about the statement
// (router/lex), the state of the session and the configured rules in, a
// Decision out. It is pure: no I/O, no clock, no locks, no allocation, and the
// same input gives the same decision, so that EXPLAIN ROUTE can show it.
//
// The rule it rests on: a statement goes to the primary unless it is proven to
// be a harmless read in the session's present state.
package router
