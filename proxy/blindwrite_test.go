package proxy

import (
	"testing"

	"github.com/telamondb/telamon/backend"
)

func TestWhichStatementsMayCommitWithoutARecord(t *testing.T) {
	for name, c := range map[string]struct {
		statements []string
		blind      bool
	}{
		"a write is reported":                           {[]string{"INSERT INTO t VALUES (1)"}, false},
		"so is DDL outside of a transaction":            {[]string{"DROP TABLE t"}, false},
		"DDL commits a transaction":                     {[]string{"BEGIN", "DROP TABLE t"}, true},
		"a temporary table that is created commits not": {[]string{"BEGIN", "CREATE TEMPORARY TABLE tmp (a INT)"}, false},
		"nor does one that is dropped":                  {[]string{"BEGIN", "DROP TEMPORARY TABLE tmp"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.store.Update(func(d *backend.Draft) {
				for i := range r.store.Load().States {
					st := d.State(r.store.Load().States[i].Server)
					st.GTID, st.Version = "0-1-1", "10.11.0-MariaDB"
				}
			})
			cl := r.connect()
			for _, sql := range c.statements {
				cl.exec(sql)
			}
			if got := r.deps.Writes.Blind(); got != c.blind {
				t.Errorf("blind %v", got)
			}
		})
	}
}
