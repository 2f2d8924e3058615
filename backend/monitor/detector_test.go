package monitor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/telamondb/telamon/backend"
)

// TestDetectorStories plays the stories in testdata/detector. Commands:
//
//	server role=ro max_lag=1s [enabled=false]   a detector that has seen nothing
//	steps [every=500ms]                         one observation per line
//
// An observation is a failure (refused, timeout, auth, ...) or "ok" with
// [ro] [io=Yes] [sql=Yes] [lag=0|null] [ioerr=0] [recv=FILE:POS] [exec=FILE:POS] for a
// single channel, [none] for no replication, [galera=STATE]; "primary-lost" may
// be added to any, and "xN" repeats it. Lines whose verdict equals the one
// before are shown once.
func TestDetectorStories(t *testing.T) {
	datadriven.Walk(t, "testdata/detector", func(t *testing.T, path string) {
		story := &story{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "server":
				return story.server(d)
			case "steps":
				return story.steps(d)
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

type story struct {
	t    *testing.T
	det  *Detector
	now  time.Time
	from time.Time
}

func (s *story) server(d *datadriven.TestData) string {
	roleName, lag, enabled := "ro", "1s", "true"
	for name, to := range map[string]*string{"role": &roleName, "max_lag": &lag, "enabled": &enabled} {
		if d.HasArg(name) {
			d.ScanArgs(s.t, name, to)
		}
	}
	role, err := backend.ParseRole(roleName)
	if err != nil {
		s.t.Fatal(err)
	}
	maxLag := backend.LagUnchecked
	if lag != "off" {
		if maxLag, err = time.ParseDuration(lag); err != nil {
			s.t.Fatal(err)
		}
	}
	cfg := DefaultConfig()
	cfg.Maintenance.Enabled = enabled == "true"
	s.det = &Detector{}
	s.det.Configure(cfg, role, maxLag)
	s.from = time.Unix(0, 0)
	s.now = s.from
	return ""
}

func (s *story) steps(d *datadriven.TestData) string {
	every := 500 * time.Millisecond
	if d.HasArg("every") {
		var text string
		d.ScanArgs(s.t, "every", &text)
		var err error
		if every, err = time.ParseDuration(text); err != nil {
			s.t.Fatal(err)
		}
	}
	var out strings.Builder
	shown := ""
	for line := range strings.Lines(d.Input) {
		obs, times := s.parse(strings.Fields(line))
		for range times {
			s.now = s.now.Add(every)
			v, _ := s.det.Step(obs, s.now)
			if text := verdictText(v); text != shown {
				fmt.Fprintf(&out, "%5.1fs %s\n", s.now.Sub(s.from).Seconds(), text)
				shown = text
			}
		}
	}
	return out.String()
}

func verdictText(v Verdict) string {
	s := fmt.Sprintf("%s %s", v.Role, v.Health)
	if v.LagKnown {
		s += fmt.Sprintf(" lag=%s", v.Lag)
	}
	if v.Back {
		s += " back"
	}
	if v.Cause != backend.CauseNone {
		s += " " + v.Cause.String()
	}
	if v.Reason != "" {
		s += ": " + v.Reason
	}
	return s
}

var failures = map[string]Failure{
	"ok": OK, "refused": Refused, "timeout": Timeout, "shutdown": ShuttingDown, "blocked": Blocked,
	"protocol": Protocol, "broken": Broken, "auth": Auth, "toomany": TooMany, "privilege": Privilege,
	"resolve": Resolve, "local": Local,
}

func (s *story) parse(words []string) (obs Observation, times int) {
	times = 1
	failure, known := failures[words[0]]
	if !known {
		s.t.Fatalf("unknown observation %q", words[0])
	}
	obs.Failure = failure
	if failure != OK {
		obs.Err = errors.New("error text")
	}
	obs.Identified = failure == OK || failure == Privilege
	ch := Channel{Source: backend.Source{Address: "p:3306"}, IO: "Yes", SQL: true, LagKnown: true,
		Received: LogPos{"bin.000001", 100}, Executed: LogPos{"bin.000001", 100}}
	none := failure != OK
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "ro":
			obs.ReadOnly = true
		case "none":
			none = true
		case "primary-lost":
			obs.PrimaryLost = true
		case "io":
			ch.IO = value
		case "sql":
			ch.SQL = value == "Yes"
		case "lag":
			n, err := strconv.Atoi(value)
			ch.Lag, ch.LagKnown = time.Duration(n)*time.Second, err == nil
		case "ioerr":
			n, _ := strconv.Atoi(value)
			ch.IOErrno = uint16(n)
		case "recv":
			ch.Received = s.pos(value)
		case "exec":
			ch.Executed = s.pos(value)
		case "error":
			ch.LastError = strings.ReplaceAll(value, "_", " ")
		case "galera":
			state, _ := strconv.Atoi(value)
			obs.Galera = Galera{Member: true, Ready: true, State: state}
		default:
			n, err := strconv.Atoi(strings.TrimPrefix(w, "x"))
			if err != nil {
				s.t.Fatalf("unknown word %q", w)
			}
			times = n
		}
	}
	if !none {
		obs.Channels = []Channel{ch}
	}
	return obs, times
}

func (s *story) pos(v string) LogPos {
	file, pos, _ := strings.Cut(v, ":")
	n, err := strconv.ParseUint(pos, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return LogPos{file, n}
}

func TestPositionsInBinaryLogs(t *testing.T) {
	for _, c := range []struct {
		name           string
		p, mark        LogPos
		ok, comparable bool
	}{
		{"same place", LogPos{"b.000001", 4}, LogPos{"b.000001", 4}, true, true},
		{"before in the file", LogPos{"b.000001", 3}, LogPos{"b.000001", 4}, false, true},
		{"a later file", LogPos{"b.000010", 3}, LogPos{"b.000009", 400}, true, true},
		{"an earlier file", LogPos{"b.000009", 400}, LogPos{"b.000010", 3}, false, true},
		{"more digits", LogPos{"b.1000000", 1}, LogPos{"b.999999", 1}, true, true},
		{"another source", LogPos{"b.000009", 4}, LogPos{"c.000010", 4}, false, false},
		{"no file yet", LogPos{"", 0}, LogPos{"b.000010", 4}, false, false},
		{"no files at all", LogPos{"", 0}, LogPos{"", 0}, true, true},
	} {
		if ok, comparable := c.p.reached(c.mark); ok != c.ok || comparable != c.comparable {
			t.Errorf("%s: %t, %t", c.name, ok, comparable)
		}
	}
}

func TestAllChannelsCount(t *testing.T) {
	good := Channel{Name: "a", IO: "Yes", SQL: true, LagKnown: true}
	slow := Channel{Name: "b", IO: "Yes", SQL: true, LagKnown: true, Lag: 5 * time.Second}
	stopped := Channel{Name: "c", IO: "No", SQL: true, LagKnown: true}
	blank := Channel{Name: "d", IO: "Yes", SQL: true}
	for _, c := range []struct {
		name     string
		channels []Channel
		want     backend.Cause
	}{
		{"all good", []Channel{good, good}, backend.CauseNone},
		{"the slowest decides", []Channel{good, slow}, backend.CauseLag},
		{"one stopped is enough", []Channel{good, stopped}, backend.CauseReplicationStopped},
		{"one unknown lag is enough", []Channel{blank, good}, backend.CauseLag},
		{"no channel", nil, backend.CauseNoReplication},
	} {
		cause, reason := replicates(Observation{Channels: c.channels}, time.Second)
		if cause != c.want || (reason == "") != (cause == backend.CauseNone) {
			t.Errorf("%s: %s %q, want %s", c.name, cause, reason, c.want)
		}
	}
}
