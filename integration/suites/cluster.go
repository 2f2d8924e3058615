package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/telamondb/telamon/internal/certs"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

// target is what one run works on: servers of its own, and the proxy if it goes
// through it.
type target struct {
	cluster *localserver.Cluster
	proxy   *localproxy.Proxy
	ports   []*localserver.Port
}

// startTarget starts servers with TLS and, with a program, the proxy as it is by
// default but for TLS on both sides, the accounts, which are the servers' own, as
// suites make some, and the guard: suites sleep, and delete without WHERE.
func startTarget(ctx context.Context, f localserver.Flavour, args []string, program string) (_ *target, err error) {
	t := &target{}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	encryption, err := serverTLS()
	if err != nil {
		return nil, err
	}
	t.cluster, err = localserver.StartCluster(ctx, localserver.ClusterOptions{Flavour: f, Replicas: 2, Args: args, TLS: encryption})
	if err != nil {
		return nil, err
	}
	// caching_sha2_password without TLS needs the password in the server's cache
	// or the server's public key. In production it would be there.
	if err := t.logInDirectly(ctx); err != nil {
		return nil, err
	}
	if program == "" {
		return t, nil
	}
	// What a proxy needs that takes its clients' word for native passwords.
	for _, host := range []string{"'%'", "localhost"} {
		if err := t.cluster.Primary.Exec(ctx, fmt.Sprintf("GRANT SELECT ON %s TO %s@%s", f.AccountsTable(), localserver.MonitorUser, host)); err != nil {
			return nil, err
		}
	}
	cfg := localproxy.Config{
		Backends: localproxy.Backends(t.cluster, 1, 1),
		Users:    []localproxy.User{},
		Settings: map[string]string{
			"auth":        `source = "backend"`,
			"guard":       "dml_without_where = \"allow\"\ndenied_functions = []",
			"maintenance": "hold = \"0s\"\nslow_start = \"0s\"",
			// A machine that is busy with the tests is no dead server.
			"monitor":   "timeout = \"20s\"\nfall = 5",
			"proxy.tls": `mode = "preferred"`,
		},
	}
	for i := range cfg.Backends {
		cfg.Backends[i].Settings = "[backends.tls]\nmode = \"preferred\""
	}
	for _, address := range []*string{&cfg.Listen, &cfg.Console, &cfg.HTTP} {
		port, err := localserver.ReservePort()
		if err != nil {
			return nil, err
		}
		t.ports = append(t.ports, port)
		*address = port.Addr()
	}
	if t.proxy, err = localproxy.Start(ctx, program, cfg); err != nil {
		return nil, err
	}
	if err := t.awaitBackends(ctx); err != nil {
		return nil, err
	}
	// The proxy, too, needs a password once.
	return t, login(ctx, t.proxy.DSN(user, password, ""))
}

// serverTLS is a certificate for the servers: MariaDB 10.11 makes none by itself.
func serverTLS() (*localserver.TLS, error) {
	authority, err := certs.NewAuthority(certs.Request{Name: "authority of the suites"})
	if err != nil {
		return nil, err
	}
	server, err := authority.Issue(certs.Request{Name: "server", Hosts: []string{host, "localhost"}})
	if err != nil {
		return nil, err
	}
	key, err := server.KeyPEM()
	return &localserver.TLS{Cert: server.CertPEM(), Key: key, CA: authority.CertPEM()}, err
}

func (t *target) logInDirectly(ctx context.Context) error {
	for _, s := range t.cluster.Servers() {
		if err := login(ctx, s.DSN(user, password, "")); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) addr() string {
	if t.proxy != nil {
		return t.proxy.Addr()
	}
	return t.cluster.Primary.Addr()
}

func (t *target) awaitBackends(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, s := range t.cluster.Servers() {
		for {
			state, err := t.proxy.BackendState(ctx, s.Addr())
			if err == nil && state == "up" {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("backend %s is %q, not up: %w", s.Addr(), state, errors.Join(err, context.Cause(ctx)))
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// replicaReads is how many statements the proxy has sent to replicas.
func (t *target) replicaReads(ctx context.Context) (int, error) {
	rows, err := t.proxy.Console(ctx, "SHOW ROUTES")
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, row := range rows {
		if row["target"] != "replica" {
			continue
		}
		n, err := strconv.Atoi(row["statements"])
		if err != nil {
			return 0, fmt.Errorf("SHOW ROUTES: %w", err)
		}
		sum += n
	}
	return sum, nil
}

// check reports everything that is wrong after a run: replication that broke, data
// that differs, a race or a panic of the proxy.
func (t *target) check(ctx context.Context) error {
	var errs []error
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for _, r := range t.cluster.Replicas {
		errs = append(errs, r.CheckReplication(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := t.cluster.WaitCaughtUp(ctx); err != nil {
		return err
	}
	errs = append(errs, t.sameData(ctx))
	if t.proxy != nil {
		log, err := t.proxy.LogSince(0)
		errs = append(errs, err)
		for _, bad := range []string{"DATA RACE", "panic"} {
			if at := strings.Index(log, bad); at >= 0 {
				errs = append(errs, fmt.Errorf("telamon's log reports a %s:\n%s", bad, log[max(0, at-200):min(len(log), at+4000)]))
			}
		}
	}
	return errors.Join(errs...)
}

// sameData compares the checksums of all tables that a suite has left behind.
func (t *target) sameData(ctx context.Context) error {
	want, err := checksums(ctx, t.cluster.Primary)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range t.cluster.Replicas {
		got, err := checksums(ctx, r)
		if err != nil {
			return err
		}
		for _, table := range slices.Sorted(maps.Keys(want)) {
			if got[table] != want[table] {
				errs = append(errs, fmt.Errorf("%s: the checksum of %s is %q, on the primary %q", r, table, got[table], want[table]))
			}
		}
		for _, table := range slices.Sorted(maps.Keys(got)) {
			if _, ok := want[table]; !ok {
				errs = append(errs, fmt.Errorf("%s: the primary has no table %s", r, table))
			}
		}
	}
	return errors.Join(errs...)
}

func checksums(ctx context.Context, s *localserver.Server) (map[string]string, error) {
	tables, err := s.Query(ctx, `SELECT table_schema AS s, table_name AS t FROM information_schema.tables
		WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema')`)
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for _, table := range tables {
		name := quoteName(table["s"]) + "." + quoteName(table["t"])
		rows, err := s.Query(ctx, "CHECKSUM TABLE "+name)
		if err != nil {
			return nil, err
		}
		sums[name] = rows[0]["Checksum"]
	}
	return sums, nil
}

func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func (t *target) close() error {
	var errs []error
	if t.proxy != nil {
		errs = append(errs, t.proxy.Close())
	}
	for _, p := range t.ports {
		p.Release()
	}
	if t.cluster != nil {
		errs = append(errs, t.cluster.Close())
	}
	return errors.Join(errs...)
}
