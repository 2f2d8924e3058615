// Command testsum reads the output of `go test -json` on standard input and
// prints what a person wants to know: packages as they finish, the output of what
// failed, what was skipped and why, where the time went, and in the last line the
// count. It exits 1 if anything failed or nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
	if !s.finish() {
		os.Exit(1)
	}
}

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output and build-fail
	Test       string
	Output     string
	Elapsed    float64
}

// name is the identity of a test or, without Test, of a package.
type name struct{ pkg, test string }

func (n name) String() string {
	if n.test == "" {
		return n.pkg
	}
	return n.pkg + " " + n.test
}

// summary collects events. Only tests without subtests are counted: the others
// pass or fail by those, unless they fail on their own.
type summary struct {
	out     io.Writer
	output  map[name][]string
	running map[name]bool
	parents map[name]bool // has subtests
	broken  map[string]bool
	passed  []name
	failed  []name
	skipped []name
	times   times
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, output: map[name][]string{}, running: map[name]bool{}, parents: map[name]bool{}, broken: map[string]bool{}}
}

func (s *summary) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20) // a test may print a long line
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(s.out, lines.Text()) // not from go test: show it
			continue
		}
		s.add(e)
	}
	return lines.Err()
}

func (s *summary) add(e event) {
	n := name{e.Package, e.Test}
	s.times.add(n, e)
	switch e.Action {
	case "run":
		s.running[n] = true
		if parent, ok := parentOf(n); ok {
			s.parents[parent] = true
		}
	case "output":
		s.output[n] = append(s.output[n], e.Output)
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "pass":
		delete(s.running, n)
		s.done(n, e, &s.passed)
	case "skip":
		delete(s.running, n)
		if e.Test != "" { // a package without tests is no skipped test
			s.done(n, e, &s.skipped)
		}
	case "fail":
		delete(s.running, n)
		s.fail(n, e)
	}
}

func parentOf(n name) (name, bool) {
	i := strings.LastIndexByte(n.test, '/')
	if i < 0 {
		return name{}, false
	}
	return name{n.pkg, n.test[:i]}, true
}

func (s *summary) done(n name, e event, list *[]name) {
	switch {
	case n.test == "":
		fmt.Fprintf(s.out, "ok    %s (%.1f s)\n", n.pkg, e.Elapsed)
		return
	case !strings.Contains(n.test, "/") && e.Elapsed >= 1:
		fmt.Fprintf(s.out, "      %s (%.1f s)\n", n.test, e.Elapsed)
	}
	if !s.parents[n] {
		*list = append(*list, n)
	}
	if e.Action == "pass" {
		delete(s.output, n)
	}
}

func (s *summary) fail(n name, e event) {
	if parent, ok := parentOf(n); ok {
		s.broken[parent.String()] = true
	} else if n.test != "" {
		s.broken[n.pkg] = true
	}
	if n.test == "" {
		fmt.Fprintf(s.out, "FAIL  %s (%.1f s)\n", n.pkg, e.Elapsed)
	}
	if s.broken[n.String()] && n.test == "" {
		return // its failed tests were counted
	}
	if !s.broken[n.String()] || s.said(n) != "" {
		s.show("FAILED", n)
	}
	if n.test == "" { // the process ended on its own: whatever ran then has a part in it
		for other := range s.running {
			if other.pkg == n.pkg {
				s.show("WAS RUNNING", other)
			}
		}
	}
	if !s.broken[n.String()] {
		s.failed = append(s.failed, n)
	}
}

func (s *summary) show(what string, n name) {
	fmt.Fprintf(s.out, "--- %s: %s\n", what, n)
	for _, line := range s.output[n] {
		fmt.Fprint(s.out, "    "+line)
	}
}

// finish prints the times, the lists and the count and reports success.
func (s *summary) finish() bool {
	s.times.print(s.out)
	if len(s.skipped) > 0 {
		fmt.Fprintf(s.out, "\nSKIPPED, not tested here:\n")
		for _, n := range s.skipped {
			fmt.Fprintf(s.out, "  %s: %s\n", n, s.reason(n))
		}
	}
	if len(s.failed) > 0 {
		fmt.Fprintf(s.out, "\nFAILED:\n")
		for _, n := range s.failed {
			fmt.Fprintf(s.out, "  %s\n", n)
		}
	}
	fmt.Fprintf(s.out, "\n%d passed, %d failed, %d skipped\n", len(s.passed), len(s.failed), len(s.skipped))
	return len(s.failed) == 0 && len(s.passed) > 0
}

// reason is what the test said when it skipped itself.
func (s *summary) reason(n name) string {
	if said := s.said(n); said != "" {
		return said
	}
	return "no reason given"
}

// said is a test's own output in one line, without the frame that go test puts
// around it.
func (s *summary) said(n name) string {
	var said []string
	for _, line := range s.output[n] {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		said = append(said, line)
	}
	return strings.Join(said, " ")
}
