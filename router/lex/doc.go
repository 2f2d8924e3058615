// Package lex turns the bytes of one statement into facts a router can decide
// on: what kind of statement it is, which functions and variables it touches,
// which hints it carries, and its digest.
//
// It is a lexer with a little grammar, not a parser. It follows the lexical
// rules of the MySQL and MariaDB servers exactly, because a byte read
// differently here than there is how a write gets mistaken for a read; above
// the tokens it only proves simple things and says FlagUncertain or an
// unproven class about everything else. Scan makes one pass, allocates nothing
// and is linear in the length of the statement.
package lex
