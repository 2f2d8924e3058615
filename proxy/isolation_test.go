package proxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// walker is a client that does random things and knows what it must see.
type walker struct {
	*client
	r      *rig
	rand   *rand.Rand
	number int
	serial int
	failed atomic.Bool

	schema, zone, limit string // as set, or the defaults
	st                  stmt   // prepared if its id is not 0
	stSchema            string
	refused             int // for want of a free connection
}

// TestManyClientsOverFewConnectionsNeverSeeEachOther is workload B of the
// consistency checks: every answer carries the asker's nonce and settings.
func TestManyClientsOverFewConnectionsNeverSeeEachOther(t *testing.T) {
	const least = 200 // steps, however long they take
	length := 3 * time.Second
	if os.Getenv("TELAMON_LONG") != "" {
		length = 20 * time.Second
	}
	if testing.Short() {
		length = 500 * time.Millisecond
	}
	r := newRig(t, func(s *setup) {
		s.replicas = 2
		s.primary.MaxConnections, s.replica.MaxConnections = 5, 5
	})
	over := time.Now().Add(length)
	var wg sync.WaitGroup
	var steps, refused atomic.Int64
	for i := range 40 {
		wg.Go(func() {
			w := &walker{r: r, rand: rand.New(rand.NewPCG(uint64(i), 1)), number: i}
			w.enter()
			for (time.Now().Before(over) || steps.Load() < least) && !w.failed.Load() {
				w.step()
				steps.Add(1)
			}
			refused.Add(int64(w.refused))
		})
	}
	wg.Wait()
	t.Logf("%d steps, %d refused for want of a connection; %+v", steps.Load(), refused.Load(), r.pools.Stats())
	if refused.Load() > steps.Load()/20 {
		t.Errorf("%d of %d steps got no connection", refused.Load(), steps.Load())
	}
	if n := r.Counts().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
}

func (w *walker) errorf(format string, args ...any) {
	w.failed.Store(true)
	w.r.t.Errorf("client %d: %s", w.number, fmt.Sprintf(format, args...))
}

// enter connects afresh.
func (w *walker) enter() {
	c := wiretest.Credentials{User: []string{"app", "other"}[w.rand.IntN(2)], Password: "pw"}
	w.schema = "NULL"
	if w.rand.IntN(2) == 0 {
		c.Database = "s" + strconv.Itoa(w.number)
		w.schema = c.Database
	}
	client, err := w.r.tryLogin(c)
	var e *wire.Err
	if errors.As(err, &e) && e.Code == wire.CodeConCount {
		w.refused++
		w.enter()
		return
	}
	if err != nil {
		w.errorf("login: %v", err)
		return
	}
	w.client = client
	w.reset()
}

func (w *walker) reset() {
	w.zone, w.limit, w.st = "SYSTEM", defaultVars["sql_select_limit"], stmt{}
}

// ask runs a statement; ok is false if there was no connection for it.
func (w *walker) ask(sql string) (row []string, ok bool) {
	results, err := w.Query(sql)
	var e *wire.Err
	switch {
	case errors.As(err, &e) && e.Code == wire.CodeConCount:
		w.refused++
		return nil, false
	case err != nil:
		w.errorf("%s: %v", sql, err)
		return nil, false
	case len(results[0].Rows) == 1:
		row = texts(results[0].Rows[0])
	}
	return row, true
}

func (w *walker) nonce() string {
	w.serial++
	return fmt.Sprintf("n%d_%d", w.number, w.serial)
}

// want asks for a nonce and what is added to it, which has to be so.
func (w *walker) want(list string, want ...string) {
	n := w.nonce()
	if row, ok := w.ask("SELECT '" + n + "', " + list); ok && !slices.Equal(row, append([]string{n}, want...)) {
		w.errorf("%s: got %q, want %s and %q", list, row, n, want)
	}
}

const onReplica = "schema_, var_time_zone, var_sql_select_limit, uvar_u FROM t"

func (w *walker) step() {
	switch w.rand.IntN(14) {
	case 0, 1, 2:
		w.want(onReplica, w.schema, w.zone, w.limit, "NULL")
	case 3:
		w.want("@@time_zone, schema_, var_sql_select_limit", w.zone, w.schema, w.limit)
	case 4:
		zone := fmt.Sprintf("+%02d:%02d", w.number%13, w.rand.IntN(60))
		if _, ok := w.ask("SET time_zone='" + zone + "'"); ok {
			w.zone = zone
		}
	case 5:
		limit := strconv.Itoa(1000*w.number + w.rand.IntN(1000) + 1)
		if _, ok := w.ask("SET sql_select_limit=" + limit); ok {
			w.limit = limit
		}
	case 6:
		schema := fmt.Sprintf("s%d_%d", w.number, w.rand.IntN(3))
		if _, ok := w.ask("USE " + schema); ok {
			w.schema = schema
		}
	case 7:
		w.variables()
	case 8:
		w.transaction()
	case 9, 10:
		w.prepared()
	case 11:
		w.ok(wire.ComResetConnection, "")
		w.reset()
	case 12:
		_, _ = w.ask("UPDATE t SET a=1 /*" + w.nonce() + "*/")
	case 13:
		w.leave()
	}
}

// variables sets a user variable, sees it, and lets go of it.
func (w *walker) variables() {
	n := w.nonce()
	if _, ok := w.ask("SET @u='" + n + "'"); !ok {
		return
	}
	w.want(onReplica, w.schema, w.zone, w.limit, n)
	w.want("@u", n)
	w.ok(wire.ComResetConnection, "")
	w.reset()
}

func (w *walker) transaction() {
	if _, ok := w.ask("BEGIN"); !ok {
		return
	}
	first, _ := w.ask("SELECT conn, server FROM t")
	_, _ = w.ask("INSERT INTO t VALUES ('" + w.nonce() + "')")
	w.want("conn, server, "+onReplica, append(first, w.schema, w.zone, w.limit, "NULL")...)
	if w.rand.IntN(8) == 0 {
		w.leave() // in the middle
		return
	}
	_, _ = w.ask([]string{"COMMIT", "ROLLBACK"}[w.rand.IntN(2)])
}

func (w *walker) prepared() {
	if w.st.id == 0 {
		st, err := w.tryPrepare("SELECT ?, prepared_schema, schema_, var_time_zone, var_sql_select_limit FROM t")
		var e *wire.Err
		switch {
		case errors.As(err, &e) && e.Code == wire.CodeConCount:
			w.refused++
			return
		case err != nil:
			w.errorf("prepare: %v", err)
			return
		}
		w.st, w.stSchema = st, w.schema
		_, _ = w.tryExecute(st, true, "types") // may find no connection
	}
	n := w.nonce()
	rows, err := w.tryExecute(w.st, false, n)
	var e *wire.Err
	switch {
	case errors.As(err, &e) && e.Code == wire.CodeConCount:
		w.refused++
	case err != nil:
		w.errorf("execute: %v", err)
	default:
		want := []string{n, w.stSchema, w.schema, w.zone, w.limit}
		if got := texts(rows[0]); w.stSchema != "NULL" && !slices.Equal(got, want) {
			w.errorf("execute: got %q, want %q", got, want)
		} else if got[0] != n || !slices.Equal(got[2:], want[2:]) {
			w.errorf("execute: got %q, want %q", got, want)
		}
	}
	if w.rand.IntN(4) == 0 {
		w.closeStmt(w.st.id)
		w.st = stmt{}
	}
}

// leave disconnects, sometimes in the middle of a statement, and comes back.
func (w *walker) leave() {
	if w.rand.IntN(2) == 0 {
		_ = w.Command(wire.ComQuery, "SELECT 'unread', "+onReplica)
	}
	_ = w.nc.Close()
	w.enter()
}
