package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestTimes(t *testing.T) {
	const slowPackage = `{"Action":"pass","Package":"p","Elapsed":9.25}`
	tests := []struct {
		name string
		in   []string
		want string
	}{
		{name: "the slowest come first", in: []string{
			`{"Action":"pass","Package":"p","Test":"A","Elapsed":2}`,
			`{"Action":"pass","Package":"p","Test":"B","Elapsed":7.04}`,
			slowPackage,
			`{"Action":"pass","Package":"q","Elapsed":12}`,
		}, want: `
The slowest packages:
    12.0 s  q
     9.2 s  p

The slowest tests:
     7.0 s  p B
     2.0 s  p A
`},
		{name: "what failed or was skipped took its time too", in: []string{
			`{"Action":"skip","Package":"p","Test":"A","Elapsed":2}`,
			`{"Action":"fail","Package":"p","Test":"B","Elapsed":3}`,
			`{"Action":"fail","Package":"p","Elapsed":5}`,
		}, want: `
The slowest packages:
     5.0 s  p

The slowest tests:
     3.0 s  p B
     2.0 s  p A
`},
		{name: "a subtest is part of its test", in: []string{
			`{"Action":"pass","Package":"p","Test":"A/one","Elapsed":6}`,
			`{"Action":"pass","Package":"p","Test":"A","Elapsed":6}`,
		}, want: `
The slowest tests:
     6.0 s  p A
`},
		{name: "what is quick is not shown", in: []string{
			`{"Action":"pass","Package":"p","Test":"A","Elapsed":0.99}`,
			`{"Action":"pass","Package":"p","Elapsed":0.5}`,
		}},
		{name: "output and starts have no time", in: []string{
			`{"Action":"run","Package":"p","Test":"A","Elapsed":6}`,
			`{"Action":"output","Package":"p","Test":"A","Elapsed":6}`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSummary(&strings.Builder{})
			if err := s.read(strings.NewReader(strings.Join(tt.in, "\n"))); err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			s.times.print(&got)
			if got.String() != tt.want {
				t.Errorf("printed %s\nwant %s", got.String(), tt.want)
			}
		})
	}
}

func TestTimesShowNoMoreThanTheSlowest(t *testing.T) {
	var ts times
	for i := range 40 {
		ts.add(name{pkg: "p", test: fmt.Sprint("T", i)}, event{Action: "pass", Elapsed: float64(i + 1)})
		ts.add(name{pkg: fmt.Sprint("p", i)}, event{Action: "pass", Elapsed: float64(i + 1)})
	}
	var out strings.Builder
	ts.print(&out)
	if got := strings.Count(out.String(), " s  p T"); got != testsShown {
		t.Errorf("%d tests are shown, want %d", got, testsShown)
	}
	if got := strings.Count(out.String(), " s  p"); got != testsShown+packagesShown {
		t.Errorf("%d lines are shown, want %d", got, testsShown+packagesShown)
	}
	if !strings.Contains(out.String(), " 26.0 s  p T25\n") || strings.Contains(out.String(), "T24\n") {
		t.Errorf("these are not the slowest:\n%s", out.String())
	}
}
