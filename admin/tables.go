package admin

import (
	"slices"
	"strings"
	"time"
)

// listBackends returns the backends in the console's order, primaries first;
// backend_ndx is the place in it plus one.
func listBackends(b Backends) []Backend {
	list := slices.Clone(b.List())
	slices.SortStableFunc(list, func(a, b Backend) int {
		return role(a) - role(b)
	})
	return list
}

func role(b Backend) int {
	if b.Type == TypePrimary {
		return 0
	}
	return 1
}

// backendsTable has Atlas's four columns.
func backendsTable() *table {
	return newTable(column{"backend_ndx", number}, column{"address", text}, column{"state", text}, column{"type", text})
}

func (t *table) addBackend(index int, b Backend) {
	t.add(num(index), str(b.Address), str(b.State), str(b.Type))
}

func backendsList(d *Deps) *table {
	t := backendsTable()
	for i, b := range listBackends(d.Backends) {
		t.addBackend(i+1, b)
	}
	return t
}

// backendsExt begins with the columns of backendsTable.
func backendsExt(d *Deps) *table {
	t := newTable(
		column{"backend_ndx", number}, column{"address", text}, column{"state", text}, column{"type", text},
		column{"weight", number}, column{"lag_ms", bignum}, column{"reason", text}, column{"since", text},
		column{"flavor", text}, column{"version", text}, column{"connections", number},
		column{"max_connections", number}, column{"statements", bignum}, column{"errors", bignum},
		column{"tags", text})
	for i, b := range listBackends(d.Backends) {
		t.add(num(i+1), str(b.Address), str(b.State), str(b.Type),
			num(b.Weight), lagValue(b), str(b.Reason), moment(b.Since),
			strOrNull(b.Flavor), strOrNull(b.Version), num(b.Connections),
			num(b.MaxConnections), count(b.Statements), count(b.Errors),
			str(strings.Join(b.Tags, ",")))
	}
	return t
}

func lagValue(b Backend) value {
	if !b.LagKnown {
		return null()
	}
	return num(int(b.Lag / time.Millisecond))
}

// lag lists the replicas; the primary has no lag to speak of.
func lag(d *Deps) *table {
	t := newTable(column{"backend_ndx", number}, column{"address", text}, column{"state", text},
		column{"lag_ms", bignum}, column{"reason", text})
	for i, b := range listBackends(d.Backends) {
		if b.Type != TypePrimary {
			t.add(num(i+1), str(b.Address), str(b.State), lagValue(b), str(b.Reason))
		}
	}
	return t
}

func pools(d *Deps) *table {
	t := newTable(column{"address", text}, column{"active", number}, column{"idle", number},
		column{"waiting", number}, column{"max", number}, column{"opened", bignum},
		column{"reused", bignum}, column{"resets", bignum})
	for _, p := range d.Pools.Pools() {
		t.add(str(p.Address), num(p.Active), num(p.Idle), num(p.Waiting), num(p.Max),
			count(p.Opened), count(p.Reused), count(p.Resets))
	}
	return t
}

func clients(d *Deps) *table {
	t := newTable(column{"client", text})
	for _, c := range d.Access.Clients() {
		t.add(str(c))
	}
	return t
}

func accounts(d *Deps) *table {
	t := newTable(column{"username", text}, column{"password", text})
	for _, a := range d.Access.Accounts() {
		t.add(str(a.Name), str(a.Password))
	}
	return t
}

func (r *request) explainRoute() (*table, error) {
	if r.args[0] == "" {
		return nil, errorf("EXPLAIN ROUTE wants a statement, example: EXPLAIN ROUTE SELECT 1")
	}
	x := r.deps().Routes.ExplainRoute([]byte(r.args[0]))
	t := newTable(column{"kind", text}, column{"target", text}, column{"reason", text},
		column{"explanation", text}, column{"pins", text}, column{"server", text}, column{"constraints", text})
	t.add(str(x.Kind), str(x.Target), str(x.Reason), str(x.Detail), str(x.Pins), strOrNull(x.Server), str(x.Constraints))
	return t, nil
}

func routes(d *Deps) *table {
	t := newTable(column{"target", text}, column{"reason", text}, column{"statements", bignum})
	for _, c := range d.Routes.Routes() {
		t.add(str(c.Target), str(c.Reason), count(c.Statements))
	}
	return t
}

// processlist has MySQL's eight columns and two of ours.
func processlist(d *Deps) *table {
	t := newTable(column{"Id", number}, column{"User", text}, column{"Host", text}, column{"db", text},
		column{"Command", text}, column{"Time", number}, column{"State", text}, column{"Info", text},
		column{"Backend", text}, column{"Pins", text})
	for _, p := range d.Sessions.Processlist() {
		t.add(num(p.ID), str(p.User), str(p.Host), strOrNull(p.DB), str(p.Command),
			num(int(p.Time/time.Second)), str(p.State), strOrNull(p.Info), strOrNull(p.Backend), str(p.Pins))
	}
	return t
}

func settings(d *Deps) *table {
	t := newTable(column{"key", text}, column{"value", text}, column{"source", text}, column{"takes_effect", text})
	for _, s := range d.Config.Settings() {
		source := "file"
		if s.Default {
			source = "default"
		}
		t.add(str(s.Key), str(s.Value), str(source), str(takesEffect(s.Live)))
	}
	return t
}

func takesEffect(live bool) string {
	if live {
		return "reload"
	}
	return "restart"
}

func changesTable(changes []Change) *table {
	t := newTable(column{"key", text}, column{"running", text}, column{"file", text}, column{"takes_effect", text})
	for _, c := range changes {
		t.add(str(c.Key), str(c.Old), str(c.New), str(takesEffect(c.Live)))
	}
	return t
}

func (r *request) showConfigDiff() (*table, error) {
	changes, err := r.deps().Config.Diff()
	return changesTable(changes), err
}
