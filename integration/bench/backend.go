package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/telamondb/telamon/integration/bench/dataset"
	"github.com/telamondb/telamon/internal/localserver"
)

// backend is the server side of a run.
type backend struct {
	name     string
	primary  string   // address
	replicas []string // addresses
	pids     []int
	stop     func()
}

// startBackend runs the servers of a run.
func startBackend(ctx context.Context, opts *options) (*backend, error) {
	if opts.backend == "mariadb" {
		return startMariaDB(ctx)
	}
	w, err := startWorker(workerFake, "-flavour", opts.flavour, "-replicas", "2")
	if err != nil {
		return nil, fmt.Errorf("fake backend: %w", err)
	}
	m, err := w.hear(ctx)
	if err == nil && m.Fake == nil {
		err = errors.New("no addresses")
	}
	if err != nil {
		w.stop()
		return nil, fmt.Errorf("fake backend: %w", err)
	}
	return &backend{
		name:    "fake " + opts.flavour,
		primary: m.Fake.Primary, replicas: m.Fake.Replicas,
		pids: []int{w.process.PID()},
		stop: w.stop,
	}, nil
}

func startMariaDB(ctx context.Context) (*backend, error) {
	s, err := localserver.Start(ctx, localserver.Options{
		Flavour: localserver.MariaDB,
		Args:    []string{"--max-connections=2000"},
		Plain:   true, // its figures are those of a disk
	})
	if err != nil {
		return nil, err
	}
	if err := fill(ctx, s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	version, err := s.Value(ctx, "SELECT VERSION()")
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &backend{
		name: version, primary: s.Addr(), pids: []int{s.PID()},
		stop: func() { _ = s.Close() },
	}, nil
}

// fill creates account, schema and tables.
func fill(ctx context.Context, s *localserver.Server) error {
	statements := []string{
		"CREATE DATABASE " + dataset.Schema + " CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
		fmt.Sprintf("CREATE USER %s@'%%' IDENTIFIED BY '%s'", login.User, login.Password),
		fmt.Sprintf("GRANT ALL ON *.* TO %s@'%%'", login.User),
	}
	for _, q := range dataset.SQL() {
		statements = append(statements, inSchema(q))
	}
	return s.Exec(ctx, statements...)
}

// inSchema qualifies the table of a statement of dataset.SQL: the statements
// may run on different connections of a pool, so USE would not do.
func inSchema(q string) string {
	for _, verb := range []string{"CREATE TABLE ", "INSERT INTO "} {
		if len(q) > len(verb) && q[:len(verb)] == verb {
			return verb + dataset.Schema + "." + q[len(verb):]
		}
	}
	return q
}
