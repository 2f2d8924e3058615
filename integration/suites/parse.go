package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// parseGo reads the output of go test -json. Names of tests have their package's
// last element in front. A package that fails without a failed test, such as one
// that does not compile, is a failed test of that package's name.
func parseGo(output []byte) results {
	got := results{}
	failedIn := map[string]bool{} // packages
	for line := range bytes.Lines(output) {
		var e struct{ Action, Package, Test string }
		if json.Unmarshal(line, &e) != nil || e.Package == "" {
			continue
		}
		name := path.Base(e.Package)
		if e.Test != "" {
			name += "." + e.Test
		}
		switch e.Action {
		case "run":
			got[name] = failed // until it ends: a panic ends none
		case "pass", "skip":
			if e.Test != "" {
				got[name] = map[string]outcome{"pass": passed, "skip": skipped}[e.Action]
			}
		case "fail":
			if e.Test != "" || !failedIn[e.Package] {
				got[name] = failed
			}
			failedIn[e.Package] = true
		}
	}
	return got
}

var (
	tapLine = regexp.MustCompile(`^(not )?ok \d+\b\s*(?:- )?\s*(.*?)\s*$`)
	tapSkip = regexp.MustCompile(`(?i)\s*#\s*skip\b.*$`)
)

// parseTAP reads the Test Anything Protocol. Tests of the same description are told
// apart by a number; prefix is put before each.
func parseTAP(prefix string, output []byte) results {
	got := results{}
	for line := range bytes.Lines(output) {
		m := tapLine.FindStringSubmatch(strings.TrimRight(string(line), "\r\n"))
		if m == nil {
			continue
		}
		o := passed
		if m[1] != "" && !strings.Contains(m[2], "# TODO") {
			o = failed
		}
		if tapSkip.MatchString(m[2]) {
			o = skipped
		}
		name := prefix + tapSkip.ReplaceAllString(m[2], "")
		got.add(name, o)
	}
	return got
}

// add notes the outcome of a test under its name, or with a number behind it if
// there is one of that name already.
func (r results) add(name string, o outcome) {
	unique := name
	for n := 2; ; n++ {
		if _, taken := r[unique]; !taken {
			break
		}
		unique = fmt.Sprintf("%s (%d)", name, n)
	}
	r[unique] = o
}

// parseJUnit reads the XML that pytest and others write.
func parseJUnit(text []byte) (results, error) {
	type testcase struct {
		Class   string    `xml:"classname,attr"`
		Name    string    `xml:"name,attr"`
		Failure *struct{} `xml:"failure"`
		Error   *struct{} `xml:"error"`
		Skipped *struct{} `xml:"skipped"`
	}
	var report struct {
		Suites []struct {
			Cases []testcase `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		return nil, fmt.Errorf("JUnit XML: %w", err)
	}
	got := results{}
	for _, s := range report.Suites {
		for _, c := range s.Cases {
			o := passed
			switch {
			case c.Failure != nil || c.Error != nil:
				o = failed
			case c.Skipped != nil:
				o = skipped
			}
			name := c.Class + "." + c.Name
			// pytest writes a test and an error of its teardown as two cases.
			if o == failed || got[name] != failed {
				got[name] = o
			}
		}
	}
	return got, nil
}
