// Command suites runs the test suites of drivers, ORMs and servers twice: directly
// against a primary, and through Telamon in front of that primary and two live
// replicas. What fails must be the same both times; afterwards the replicas must
// replicate and hold the same data.
//
// list.go names the suites, exclusions.txt what is not compared and why,
// docs/testing.md how to run them and what came of it.
package main
