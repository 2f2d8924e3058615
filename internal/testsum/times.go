package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Of tests and packages these many are shown, the slowest, and none that took
// less than leastShown seconds: they decide nothing.
const (
	testsShown    = 15
	packagesShown = 8
	leastShown    = 1
)

// times collects how long packages and tests that are no subtests took.
type times struct {
	tests, packages []timed
}

type timed struct {
	name
	seconds float64
}

func (ts *times) add(n name, e event) {
	switch {
	case e.Action != "pass" && e.Action != "fail" && e.Action != "skip":
	case n.test == "":
		ts.packages = append(ts.packages, timed{n, e.Elapsed})
	case !strings.Contains(n.test, "/"):
		ts.tests = append(ts.tests, timed{n, e.Elapsed})
	}
}

// print shows where the time went. Packages that ran beside each other share it.
func (ts *times) print(out io.Writer) {
	printSlowest(out, "packages", ts.packages, packagesShown)
	printSlowest(out, "tests", ts.tests, testsShown)
}

func printSlowest(out io.Writer, what string, all []timed, most int) {
	slow := slices.DeleteFunc(slices.Clone(all), func(t timed) bool { return t.seconds < leastShown })
	if len(slow) == 0 {
		return
	}
	slices.SortStableFunc(slow, func(a, b timed) int { return cmp.Compare(b.seconds, a.seconds) })
	fmt.Fprintf(out, "\nThe slowest %s:\n", what)
	for _, t := range slow[:min(len(slow), most)] {
		fmt.Fprintf(out, "%8.1f s  %s\n", t.seconds, t.name)
	}
}
