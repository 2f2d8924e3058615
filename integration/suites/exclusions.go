package main

import (
	_ "embed"
	"fmt"
	"path"
	"strings"

	"github.com/telamondb/telamon/internal/localserver"
)

//go:embed exclusions.txt
var exclusionsText string

// exclusions are tests whose outcomes are not compared.
type exclusions []exclusion

type exclusion struct {
	suite   string
	flavour string // "any" or in lower case
	pattern string // path.Match's
	reason  string
}

// loadExclusions reads exclusions.txt. Every line needs a reason, and a suite that
// exists.
func loadExclusions() (exclusions, error) {
	known := map[string]bool{}
	for _, s := range suites {
		known[s.name] = true
	}
	var list exclusions
	number := 0
	for line := range strings.Lines(exclusionsText) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, ok := parseExclusion(line)
		if !ok {
			return nil, fmt.Errorf("exclusions.txt:%d: want `suite server test -- reason`", number)
		}
		if !known[e.suite] {
			return nil, fmt.Errorf("exclusions.txt:%d: there is no suite %q", number, e.suite)
		}
		if _, err := path.Match(e.pattern, ""); err != nil {
			return nil, fmt.Errorf("exclusions.txt:%d: %w", number, err)
		}
		list = append(list, e)
	}
	return list, nil
}

// parseExclusion reads one line. The name of a test may have spaces in it.
func parseExclusion(line string) (exclusion, bool) {
	where, reason, ok := strings.Cut(line, " -- ")
	suite, where, ok2 := strings.Cut(where, " ")
	flavour, pattern, ok3 := strings.Cut(where, " ")
	e := exclusion{suite, flavour, strings.TrimSpace(pattern), strings.TrimSpace(reason)}
	return e, ok && ok2 && ok3 && e.pattern != "" && e.reason != ""
}

// of are the patterns for one suite on one flavour.
func (list exclusions) of(suite string, f localserver.Flavour) []string {
	var patterns []string
	for _, e := range list {
		if e.suite == suite && (e.flavour == "any" || e.flavour == strings.ToLower(f.String())) {
			patterns = append(patterns, e.pattern)
		}
	}
	return patterns
}

// remove takes the excluded tests out of the results and returns how many that were.
func (list exclusions) remove(suite string, f localserver.Flavour, r results) int {
	n := 0
	for name := range r {
		for _, pattern := range list.of(suite, f) {
			if matches(pattern, name) {
				delete(r, name)
				n++
				break
			}
		}
	}
	return n
}

// matches is path.Match in which * also stands for slashes: the names of tests are
// no paths.
func matches(pattern, name string) bool {
	const slash = "\x00"
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(name, "/", slash))
	return ok && err == nil
}
