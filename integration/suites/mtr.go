package main

import (
	"bytes"
	"context"
	_ "embed"
	"path/filepath"
	"regexp"
	"strings"
)

// mtrTests are the tests of MariaDB's main suite that a server it has not started
// itself can pass, one a line.
//
//go:embed mtr.txt
var mtrTests string

// mtrArgs bring the servers nearer to those that mysql-test-run starts.
var mtrArgs = []string{"--character-set-server=latin1", "--collation-server=latin1_swedish_ci"}

func runMTR(ctx context.Context, j *job) (results, error) {
	args := []string{
		"/usr/bin/perl", "mysql-test-run.pl", "--force", "--max-test-fail=0", "--suite=main", "--testcase-timeout=5",
		"--vardir=" + filepath.Join(j.scratch, "var"), "--nocheck-testcases", "--noreorder",
	}
	for _, option := range []string{"host=" + host, "port=" + j.port(), "user=" + user, "password=" + password} {
		args = append(args, "--extern", option)
	}
	out, err := j.output(ctx, command{dir: "/usr/share/mysql/mysql-test", args: append(args, strings.Fields(mtrTests)...)})
	return parseMTR(out), err
}

// mtrLine is "main.alias   [ pass ]  15", after mysql-test-run's own worker prefix.
var mtrLine = regexp.MustCompile(`^(main\.\S+)(?: '[^']*')?\s+(?:w\d+ )?\[ (\S+) \]`)

func parseMTR(output []byte) results {
	got := results{}
	for line := range bytes.Lines(output) {
		m := mtrLine.FindSubmatch(line)
		if m == nil {
			continue
		}
		o := failed
		switch string(m[2]) {
		case "pass":
			o = passed
		case "skipped", "disabled":
			o = skipped
		}
		got[string(m[1])] = o
	}
	return got
}
