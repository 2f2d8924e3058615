package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/telamondb/telamon/admin"
	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/conf"
	"github.com/telamondb/telamon/proxy"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// The types below show the program to package admin, which knows none of its
// parts.

func (d *daemon) adminDeps() admin.Deps {
	return admin.Deps{
		Backends: backendsView{d}, Pools: poolsView{d}, Routes: routesView{d}, Sessions: sessionsView{d},
		Access: accessView{d}, Config: configView{d}, Counters: countersView{d}, Readiness: readinessView{d},
	}
}

type backendsView struct{ d *daemon }

// List implements admin.Backends.
func (v backendsView) List() []admin.Backend {
	t := v.d.store.Load()
	open := map[string]int{}
	for _, p := range v.d.pools.Stats() {
		open[p.Address] = p.Open
	}
	list := make([]admin.Backend, len(t.States))
	for i := range t.States {
		list[i] = describeBackend(&t.States[i])
		list[i].Connections = open[list[i].Address]
	}
	return list
}

func describeBackend(st *backend.State) admin.Backend {
	b := admin.Backend{
		Address: st.String(), State: st.Health.String(), Type: st.Role.String(), Weight: st.Spec.Weight, Tags: st.Spec.Tags,
		Reason: st.Reason, Since: st.Since, Lag: st.Lag, LagKnown: st.LagKnown, Version: st.Version,
		MaxConnections: st.Spec.MaxConnections, Statements: st.Stats.Statements.Load(),
		Errors: st.Stats.Errors.Load() + st.Stats.ConnectErrors.Load(), CertificateEnd: st.CertificateEnd(),
	}
	if st.Flavor != backend.FlavorUnknown {
		b.Flavor = st.Flavor.String()
	}
	return b
}

// Add implements admin.Backends.
func (v backendsView) Add(typ, address string, weight int) error {
	role, err := backend.ParseRole(typ)
	if err != nil {
		return err
	}
	if weight == admin.AnyWeight {
		weight = 0
		if role == backend.RoleRO {
			weight = 1
		}
	}
	_, err = v.d.store.Add(backend.Spec{Address: address, Role: role, Weight: weight})
	return err
}

// Remove implements admin.Backends.
func (v backendsView) Remove(address string) error {
	_, err := v.d.store.Remove(address)
	return backendError(err)
}

// SetOffline implements admin.Backends.
func (v backendsView) SetOffline(address string, offline bool) (admin.Backend, error) {
	set := v.d.store.SetOnline
	if offline {
		set = v.d.store.SetOffline
	}
	st, err := set(address)
	if err != nil {
		return admin.Backend{}, backendError(err)
	}
	return describeBackend(&st), nil
}

// SetWeight implements admin.Backends.
func (v backendsView) SetWeight(address string, weight int) (admin.Backend, error) {
	st, err := v.d.store.SetWeight(address, weight)
	if err != nil {
		return admin.Backend{}, backendError(err)
	}
	return describeBackend(&st), nil
}

func backendError(err error) error {
	if errors.Is(err, backend.ErrNotFound) {
		return admin.ErrUnknownBackend
	}
	return err
}

type poolsView struct{ d *daemon }

// Pools implements admin.Pools.
func (v poolsView) Pools() []admin.Pool {
	var list []admin.Pool
	for _, s := range v.d.pools.Stats() {
		list = append(list, describePool(&s))
	}
	return list
}

func describePool(s *pool.Stats) admin.Pool {
	return admin.Pool{
		Address: s.Address, Active: s.Open - s.Idle - s.Parked, Idle: s.Idle + s.Parked, Waiting: s.Waiting,
		Max: s.Max, Opened: s.Opened, Reused: s.Reused, Resets: s.Reset,
	}
}

type routesView struct{ d *daemon }

// ExplainRoute implements admin.Routes, for a session that has just logged in.
func (v routesView) ExplainRoute(sql []byte) admin.RouteExplanation {
	t := v.d.store.Load()
	rules := routingRules(v.d.config.Load())
	e := router.Explain(sql, v.mode(t), router.SessionView{Autocommit: true}, rules)
	x := admin.RouteExplanation{Kind: e.Kind, Target: e.Target, Reason: e.Reason, Detail: e.Detail, Pins: e.Pins, Constraints: e.Constraint}
	switch st := v.server(t, sql, rules); {
	case e.Target == router.Deny.String():
	case st != nil:
		x.Server = st.String()
	}
	return x
}

// mode is how a fresh session's statements are read.
func (v routesView) mode(t *backend.Topology) lex.Mode {
	var m lex.Mode
	if st := t.Primary(); st != nil {
		m = proxy.FreshMode(st, v.d.pools)
	}
	return m
}

// server is where the statement would run now.
func (v routesView) server(t *backend.Topology, sql []byte, rules *router.Rules) *backend.State {
	var f lex.Facts
	lex.Scan(sql, v.mode(t), &f)
	d := router.Route(&router.Request{Facts: &f, View: router.SessionView{Autocommit: true}}, rules)
	if d.Target == router.Replica {
		c := backend.Constraint{MaxLag: d.MaxLag, Tag: d.Tag, Address: d.Backend}
		if st := t.PickReplica(uint32(time.Now().UnixNano()), c); st != nil {
			return st
		}
		return t.Fallback()
	}
	return t.Primary()
}

// Routes implements admin.Routes.
func (v routesView) Routes() []admin.RouteCount {
	counts := v.d.proxy.Counts()
	var list []admin.RouteCount
	for i, n := range counts.Routes {
		reason := router.Reason(i)
		list = append(list, admin.RouteCount{Target: targetOf(reason).String(), Reason: reason.String(), Statements: n})
	}
	return list
}

// targetOf returns where statements go for a reason.
func targetOf(r router.Reason) router.Target {
	switch {
	case r <= router.ReasonReadOnlyTransaction, r == router.ReasonReplicaTransaction:
		return router.Replica
	case r == router.ReasonLastStatement:
		return router.Last
	case r >= router.ReasonGuardNoWhere:
		return router.Deny
	}
	return router.Primary
}

type sessionsView struct{ d *daemon }

// Processlist implements admin.Sessions.
func (v sessionsView) Processlist() []admin.Process {
	var list []admin.Process
	for _, s := range v.d.proxy.Sessions() {
		list = append(list, admin.Process{
			ID: s.ID, User: s.User, Host: s.Host, DB: s.Schema, Command: commandWord(s.Command), Time: s.For, Backend: s.Server,
		})
	}
	return list
}

// commandWord is what SHOW PROCESSLIST of a server calls a command.
func commandWord(c wire.Command) string {
	switch c {
	case wire.ComSleep:
		return "Sleep"
	case wire.ComQuery:
		return "Query"
	case wire.ComStmtExecute, wire.ComStmtBulkExecute:
		return "Execute"
	case wire.ComStmtPrepare:
		return "Prepare"
	case wire.ComStmtFetch:
		return "Fetch"
	case wire.ComInitDB:
		return "Init DB"
	case wire.ComChangeUser:
		return "Change user"
	}
	return fmt.Sprintf("Command %d", byte(c))
}

// Kill implements admin.Sessions.
func (v sessionsView) Kill(id uint32, queryOnly bool) error {
	err := v.d.proxy.Kill(id, queryOnly)
	if errors.Is(err, proxy.ErrUnknownSession) {
		return admin.ErrUnknownSession
	}
	return err
}

type accessView struct{ d *daemon }

// Clients implements admin.Access.
func (v accessView) Clients() []string {
	var list []string
	for _, n := range v.d.config.Load().Proxy.Allow {
		list = append(list, n.String())
	}
	return list
}

// Accounts implements admin.Access.
func (v accessView) Accounts() []admin.Account {
	var list []admin.Account
	for _, u := range v.d.config.Load().Users {
		list = append(list, admin.Account{Name: u.Name, Password: u.Password.String()})
	}
	return list
}

type configView struct{ d *daemon }

// Reload implements admin.Config.
func (v configView) Reload(ctx context.Context, dryRun bool) ([]admin.Change, error) {
	changes, err := v.d.reload(ctx, dryRun)
	if err != nil {
		return nil, err
	}
	if !dryRun {
		v.d.logReload(changes)
	}
	return adminChanges(changes), nil
}

func adminChanges(changes []conf.Change) []admin.Change {
	list := make([]admin.Change, len(changes))
	for i, c := range changes {
		list[i] = admin.Change{Key: c.Path, Old: c.Old, New: c.New, Live: !c.Restart}
	}
	return list
}

// Settings implements admin.Config.
func (v configView) Settings() []admin.Setting {
	var list []admin.Setting
	for _, s := range conf.Settings(v.d.config.Load()) {
		list = append(list, admin.Setting{Key: s.Path, Value: s.Value, Default: s.Default, Live: !s.Restart})
	}
	return list
}

// Diff implements admin.Config.
func (v configView) Diff() ([]admin.Change, error) {
	changes, err := v.d.reload(context.Background(), true)
	if err != nil {
		return nil, err
	}
	return adminChanges(changes), nil
}

// Save implements admin.Config.
func (v configView) Save() error { return v.d.save() }

type countersView struct{ d *daemon }

// Counts implements admin.Counters.
func (v countersView) Counts() admin.Counts {
	c := v.d.proxy.Counts()
	counts := admin.Counts{
		Clients: c.Clients, MaxClients: c.MaxClients, Accepted: c.Accepted, Refused: c.Refused, LoginFailures: c.AuthFailures,
		Panics: c.Panics, Retries: c.Retries, UnknownHints: c.UnknownHints,
		ConsistencyWaits: c.ConsistencyWaits, ConsistencyMisses: c.ConsistencyMisses,
		TLSAccepted: c.TLSAccepted, TLSFailures: c.TLSFailures, Certificates: certificates(v.d.config.Load()),
	}
	if last := v.d.lastReload.Load(); last != nil {
		counts.LastReload, counts.LastReloadOK = last.at, last.ok
	}
	return counts
}

type readinessView struct{ d *daemon }

// Ready implements admin.Readiness.
func (v readinessView) Ready() error { return v.d.proxy.Ready() }
