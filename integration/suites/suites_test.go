package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/internal/localserver"
)

func TestOutputOfTestsIsRead(t *testing.T) {
	tests := []struct {
		name string
		got  results
		want results
	}{
		{"go test, with a test that a panic has cut off", parseGo([]byte(`{"Action":"run","Package":"x/a","Test":"TestA"}
{"Action":"pass","Package":"x/a","Test":"TestA"}
{"Action":"run","Package":"x/a","Test":"TestB/c"}
{"Action":"fail","Package":"x/a"}
not JSON
{"Action":"skip","Package":"x/b","Test":"TestC"}
{"Action":"pass","Package":"x/b"}
`)), results{"a.TestA": passed, "a.TestB/c": failed, "a": failed, "b.TestC": skipped}},
		{"TAP", parseTAP("f ", []byte("1..4\nok 1 - one\nnot ok 2 - two\nok 3 # skip no reason\nok 4 - one\nok, not TAP\n# not ok 5\n")),
			results{"f one": passed, "f two": failed, "f ": skipped, "f one (2)": passed}},
		{"prove", parseProve([]byte("t/a.t ..... \n1..2\nok 1 - x\n    not ok 1 - inner\nnot ok 2 - y\nDubious, test returned 1 (wstat 256, 0x100)\nt/b.t .. skipped: no server\nt/c.t .. \nok 1 - x\nok\nTest Summary Report\nok 7 - z\n")),
			results{"t/a.t x": passed, "t/a.t y": failed, "t/a.t": failed, "t/b.t": skipped, "t/c.t x": passed}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestJUnitReportsAreRead(t *testing.T) {
	got, err := parseJUnit([]byte(`<testsuites><testsuite><testcase classname="m.C" name="a"/>
		<testcase classname="m.C" name="b"><failure message="x"/></testcase>
		<testcase classname="m.C" name="c"><skipped/></testcase>
		<testcase classname="m.C" name="a"><error/></testcase></testsuite></testsuites>`))
	want := results{"m.C.a": failed, "m.C.b": failed, "m.C.c": skipped}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := parseJUnit([]byte("<testsuites>")); err == nil {
		t.Error("half a report is read without an error")
	}
}

func TestVerdict(t *testing.T) {
	tests := []struct {
		name            string
		direct, through []results
		want            verdict
	}{
		{"the same failure both ways", []results{{"a": failed, "b": passed}}, []results{{"a": failed, "b": passed}},
			verdict{tests: 2, failedDirectly: 1, failedThrough: 1, failedBoth: []string{"a"}}},
		{"a failure through the proxy alone", []results{{"a": passed}}, []results{{"a": failed}},
			verdict{tests: 1, failedThrough: 1, differences: []string{"a: directly passed, through the proxy failed"}}},
		{"a test that did not run", []results{{"a": passed, "b": passed}}, []results{{"a": passed}},
			verdict{tests: 2, differences: []string{"b: directly passed, through the proxy not run"}}},
		{"a test that fails now and then both ways", []results{{"a": passed}, {"a": failed}}, []results{{"a": failed}, {"a": passed}},
			verdict{tests: 1, failedDirectly: 1, flaky: []string{"a: directly passed 1, failed 1, through the proxy passed 1, failed 1"}}},
		{"a difference that repetitions confirm", []results{{"a": passed}, {"a": passed}}, []results{{"a": failed}, {"a": failed}},
			verdict{tests: 1, failedThrough: 1, differences: []string{"a: directly passed, through the proxy failed"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, judge(tt.direct, tt.through), cmp.AllowUnexported(verdict{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExclusionsHaveReasonsAndSuites(t *testing.T) {
	list, err := loadExclusions()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("no exclusions were read")
	}
	r := results{"mysql.TestConnectorReturnsTimeout": failed, "mysql.TestOther": passed}
	if n := list.remove("go-sql-driver", localserver.MySQL, r); n != 1 || len(r) != 1 {
		t.Errorf("removed %d, left %v", n, r)
	}
}

func TestPatternsOfExclusions(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"a.TestB", "a.TestB", true},
		{"a.TestB*", "a.TestB/c/d", true},
		{"a.TestB", "a.TestB/c", false},
		{"t/80procs.t*", "t/80procs.t row (2)", true},
	} {
		if got := matches(tt.pattern, tt.name); got != tt.want {
			t.Errorf("%s matches %s: %v", tt.pattern, tt.name, got)
		}
	}
}

func TestGoIsToldWhatToSkip(t *testing.T) {
	got := goSkip([]string{"mysql.TestA", "mysql.TestB/c.d*", "no test"})
	if want := `^TestA$|^TestB$/^c\.d.*$`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
