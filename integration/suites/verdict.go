package main

import (
	"fmt"
	"maps"
	"slices"
)

// verdict is what the comparison of a suite's runs says.
type verdict struct {
	tests          int // names seen, whatever became of them
	failedDirectly int // in the last run
	failedThrough  int
	failedBoth     []string // in every run, both ways
	// differences are tests whose outcomes directly and through the proxy have
	// nothing in common.
	differences []string
	// flaky are tests that did not always end alike.
	flaky []string
}

// judge compares runs made directly with runs made through the proxy. A test that a
// run does not know was not run by it, which is an outcome like any other.
func judge(direct, through []results) verdict {
	names := map[string]bool{}
	for _, run := range slices.Concat(direct, through) {
		for name := range run {
			names[name] = true
		}
	}
	v := verdict{
		tests:          len(names),
		failedDirectly: direct[len(direct)-1].count(failed),
		failedThrough:  through[len(through)-1].count(failed),
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, b := outcomes(direct, name), outcomes(through, name)
		all := len(direct) + len(through)
		switch {
		case !overlap(a, b):
			v.differences = append(v.differences, fmt.Sprintf("%s: directly %s, through the proxy %s", name, describe(a), describe(b)))
		case a["failed"]+b["failed"] == all:
			v.failedBoth = append(v.failedBoth, name)
		case len(a) > 1 || len(b) > 1:
			v.flaky = append(v.flaky, fmt.Sprintf("%s: directly %s, through the proxy %s", name, describe(a), describe(b)))
		}
	}
	return v
}

// outcomes counts how a test ended.
func outcomes(runs []results, name string) map[string]int {
	counts := map[string]int{}
	for _, run := range runs {
		if o, ok := run[name]; ok {
			counts[o.String()]++
		} else {
			counts["not run"]++
		}
	}
	return counts
}

func overlap(a, b map[string]int) bool {
	for o := range a {
		if b[o] > 0 {
			return true
		}
	}
	return false
}

// describe is "passed", or "passed 2, failed 1" where the runs differ.
func describe(counts map[string]int) string {
	text := ""
	for _, o := range []string{"passed", "failed", "skipped", "not run"} {
		if counts[o] == 0 {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += o
		if len(counts) > 1 {
			text += fmt.Sprintf(" %d", counts[o])
		}
	}
	return text
}

func (r results) count(o outcome) int {
	n := 0
	for _, other := range r {
		if other == o {
			n++
		}
	}
	return n
}

// String is "12 passed, 1 failed, 3 skipped".
func (r results) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", r.count(passed), r.count(failed), r.count(skipped))
}
