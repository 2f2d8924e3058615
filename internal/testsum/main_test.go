package main

import (
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	tests := []struct {
		name  string
		in    string
		ok    bool
		count string
		says  []string
	}{
		{
			name: "a parent of subtests is not counted beside them",
			in: `{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/one"}
{"Action":"run","Package":"p","Test":"A/two"}
{"Action":"pass","Package":"p","Test":"A/one"}
{"Action":"pass","Package":"p","Test":"A/two"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p"}`,
			ok: true, count: "2 passed, 0 failed, 0 skipped",
		},
		{
			name: "a failed subtest is one failure and its output is shown",
			in: `{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/one"}
{"Action":"output","Package":"p","Test":"A/one","Output":"wrong server\n"}
{"Action":"fail","Package":"p","Test":"A/one"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}`,
			count: "0 passed, 1 failed, 0 skipped", says: []string{"wrong server", "p A/one"},
		},
		{
			name: "a parent that fails on its own is a failure",
			in: `{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/one"}
{"Action":"pass","Package":"p","Test":"A/one"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}`,
			count: "1 passed, 1 failed, 0 skipped",
		},
		{
			name: "a package that fails without a failed test is a failure",
			in: `{"Action":"pass","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Output":"goleak: found unexpected goroutines\n"}
{"Action":"fail","Package":"p"}`,
			count: "1 passed, 1 failed, 0 skipped", says: []string{"unexpected goroutines"},
		},
		{
			name: "a package that dies shows what was running",
			in: `{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"panic: boom\n"}
{"Action":"fail","Package":"p"}`,
			count: "0 passed, 1 failed, 0 skipped", says: []string{"panic: boom"},
		},
		{
			name: "a package that does not build is a failure",
			in: `{"Action":"build-output","ImportPath":"p","Output":"x.go:1: undefined: y\n"}
{"Action":"build-fail","ImportPath":"p"}
{"Action":"fail","Package":"p"}`,
			count: "0 passed, 1 failed, 0 skipped", says: []string{"undefined: y"},
		},
		{
			name: "a skipped test is listed with its reason",
			in: `{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"=== RUN   A\n"}
{"Action":"output","Package":"p","Test":"A","Output":"    a_test.go:3: MySQL is not installed\n"}
{"Action":"output","Package":"p","Test":"A","Output":"--- SKIP: A\n"}
{"Action":"skip","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"B"}
{"Action":"skip","Package":"without tests"}`,
			ok: true, count: "1 passed, 0 failed, 1 skipped", says: []string{"p A: a_test.go:3: MySQL is not installed"},
		},
		{name: "nothing at all is no success", count: "0 passed, 0 failed, 0 skipped"},
		{
			name: "lines that are not events are shown",
			in:   "go: cannot find main module\n" + `{"Action":"pass","Package":"p","Test":"A"}`,
			ok:   true, count: "1 passed, 0 failed, 0 skipped", says: []string{"cannot find main module"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			s := newSummary(&out)
			if err := s.read(strings.NewReader(tt.in)); err != nil {
				t.Fatal(err)
			}
			if ok := s.finish(); ok != tt.ok {
				t.Errorf("success %v, want %v", ok, tt.ok)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if last := lines[len(lines)-1]; last != tt.count {
				t.Errorf("the last line is %q, want %q", last, tt.count)
			}
			for _, text := range tt.says {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%q is not in\n%s", text, out.String())
				}
			}
		})
	}
}
