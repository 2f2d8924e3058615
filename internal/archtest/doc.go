// Package archtest enforces the import graph of docs/architecture.md: its test
// fails when a package imports what its line in the table does not allow.
package archtest
