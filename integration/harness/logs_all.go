package harness

import "github.com/telamondb/telamon/internal/localserver"

// All is everything that clients had the servers do since the last Reset: the
// primary's entries first, each server's in the order they were logged. The
// monitor's, the replication's and root's are not among them.
func (l *Logs) All() []Seen {
	l.t.Helper()
	var seen []Seen
	for i, s := range l.cluster.Servers() {
		entries, err := l.readers[i].Entries(l.t.Context())
		if err != nil {
			l.t.Fatal(err)
		}
		for _, e := range entries {
			if !e.Replicated() && e.User != localserver.MonitorUser {
				seen = append(seen, Seen{s, e})
			}
		}
	}
	return seen
}
