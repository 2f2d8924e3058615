package harness

import (
	"context"
	"strings"
	"testing"

	"github.com/telamondb/telamon/internal/localserver"
)

// Logs are the general logs of all servers of a cluster while a test runs.
type Logs struct {
	t       testing.TB
	cluster *localserver.Cluster
	readers []*localserver.GeneralLog
}

// OpenLogs turns the general logs on until the end of the test.
func OpenLogs(t testing.TB, c *localserver.Cluster) *Logs {
	t.Helper()
	l := &Logs{t: t, cluster: c}
	for _, s := range c.Servers() {
		reader, err := s.GeneralLog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.readers = append(l.readers, reader)
		t.Cleanup(func() {
			if err := reader.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return l
}

// Reset forgets what was logged until now.
func (l *Logs) Reset() {
	l.t.Helper()
	for _, reader := range l.readers {
		if err := reader.Reset(l.t.Context()); err != nil {
			l.t.Fatal(err)
		}
	}
}

// Seen is one statement that a server ran for a client.
type Seen struct {
	Server *localserver.Server
	localserver.LogEntry
}

// Statements are all that clients had the servers run whose text contains marker,
// the primary's first. Prepare is not among them, Execute is.
func (l *Logs) Statements(marker string) []Seen {
	l.t.Helper()
	var seen []Seen
	for i, s := range l.cluster.Servers() {
		entries, err := l.readers[i].Entries(l.t.Context())
		if err != nil {
			l.t.Fatal(err)
		}
		for _, e := range entries {
			client := !e.Replicated() && e.User != localserver.MonitorUser
			if client && (e.Command == "Query" || e.Command == "Execute") && strings.Contains(e.Argument, marker) {
				seen = append(seen, Seen{s, e})
			}
		}
	}
	return seen
}

// Where counts Statements by the server's place: 0 is the primary.
func (l *Logs) Where(marker string) []int {
	l.t.Helper()
	counts := make([]int, len(l.readers))
	for _, s := range l.Statements(marker) {
		counts[s.Server.ServerID()-1]++
	}
	return counts
}
