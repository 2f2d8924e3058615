package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"github.com/telamondb/telamon/internal/localserver"
)

// runner runs suites one after the other and keeps what came of them.
type runner struct {
	cache      *cache
	out        io.Writer
	program    string // the proxy
	scratch    string
	exclusions exclusions
	// repeat is how often a suite is run again, both ways, when its outcomes
	// differ: a test that fails now and then shows itself as such.
	repeat int
	rows   []row
}

// row is one line of the table at the end.
type row struct {
	suite    string
	flavour  localserver.Flavour
	verdict  verdict
	excluded int
	reads    int // statements that replicas served
	took     time.Duration
	err      error // why there is no verdict, or what was wrong after a run
}

// compare runs one suite both ways on one flavour.
func (r *runner) compare(ctx context.Context, s suite, f localserver.Flavour) {
	began := time.Now()
	fmt.Fprintf(r.out, "== %s on %s\n", s.name, f)
	row := row{suite: s.name, flavour: f}
	row.err = r.fill(ctx, s, &row)
	row.took = time.Since(began)
	row.print(r.out)
	r.rows = append(r.rows, row)
}

func (r *runner) fill(ctx context.Context, s suite, row *row) error {
	if err := localserver.Available(row.flavour); err != nil {
		return err
	}
	if err := localserver.InstallPackages(ctx, os.Stderr, s.packages...); err != nil {
		return err
	}
	dir, err := s.fetch(ctx, r.cache)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	var direct, through []results
	for attempt := range 1 + r.repeat {
		for _, way := range []struct {
			program string
			runs    *[]results
		}{{"", &direct}, {r.program, &through}} {
			got, err := r.once(ctx, s, row, dir, way.program, attempt)
			if err != nil {
				return err
			}
			row.excluded = r.exclusions.remove(s.name, row.flavour, got)
			if len(got) == 0 {
				return errors.New("not one test was run")
			}
			*way.runs = append(*way.runs, got)
		}
		row.verdict = judge(direct, through)
		if len(row.verdict.differences) == 0 && len(row.verdict.flaky) == 0 {
			break
		}
	}
	return nil
}

// once runs the suite on fresh servers, through the proxy if there is a program.
func (r *runner) once(ctx context.Context, s suite, row *row, dir, program string, attempt int) (_ results, err error) {
	way := "direct"
	if program != "" {
		way = "through"
	}
	name := fmt.Sprintf("%s-%s-%s", s.name, strings.ToLower(row.flavour.String()), way)
	if attempt > 0 {
		name += fmt.Sprintf("-%d", attempt+1)
	}
	log, err := os.Create(filepath.Join(r.cache.logs, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	scratch := filepath.Join(r.scratch, name)
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return nil, err
	}
	t, err := startTarget(ctx, row.flavour, s.serverArgs, program)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	prepare := append([]string{"CREATE DATABASE IF NOT EXISTS " + schema}, s.prepare...)
	if err := t.cluster.Primary.Exec(ctx, prepare...); err != nil {
		return nil, err
	}
	if err := t.cluster.WaitCaughtUp(ctx); err != nil {
		return nil, err
	}
	j := &job{
		dir: dir, scratch: scratch, flavour: row.flavour, addr: t.addr(), through: program != "",
		excluded: r.exclusions.of(s.name, row.flavour), log: log,
	}
	got, err := s.run(ctx, j)
	if err == nil {
		err = t.check(ctx)
	}
	if t.proxy != nil {
		text, logErr := t.proxy.LogSince(0)
		err = errors.Join(err, logErr, os.WriteFile(filepath.Join(r.cache.logs, name+".telamon.log"), []byte(text), 0o600))
		reads, readsErr := t.replicaReads(ctx)
		row.reads, err = reads, errors.Join(err, readsErr)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; see %s", way, err, log.Name())
	}
	fmt.Fprintf(r.out, "   %-8s %s\n", way, got)
	return got, nil
}

// login connects once.
func login(ctx context.Context, dsn string) error {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return err
	}
	return errors.Join(db.PingContext(ctx), db.Close())
}

func (r row) print(out io.Writer) {
	for _, name := range r.verdict.failedBoth {
		fmt.Fprintf(out, "   fails both ways: %s\n", name)
	}
	for _, line := range r.verdict.flaky {
		fmt.Fprintf(out, "   flaky: %s\n", line)
	}
	for _, line := range r.verdict.differences {
		fmt.Fprintf(out, "   DIFFERENCE: %s\n", line)
	}
	if r.err != nil {
		fmt.Fprintf(out, "   ERROR: %v\n", r.err)
	}
}

// report prints the table. Its error says that something was not as it should be.
func (r *runner) report() error {
	fmt.Fprintf(r.out, "\n%-18s %-8s %7s %9s %9s %9s %11s %9s %6s  %s\n",
		"suite", "server", "tests", "excluded", "failed", "failed", "different", "replica", "took", "")
	fmt.Fprintf(r.out, "%-18s %-8s %7s %9s %9s %9s %11s %9s\n", "", "", "", "", "directly", "through", "", "reads")
	bad := 0
	for _, row := range r.rows {
		v := row.verdict
		note := "same"
		switch {
		case row.err != nil:
			note = "ERROR"
		case len(v.differences) > 0:
			note = "DIFFERENT"
		case len(v.flaky) > 0:
			note = fmt.Sprintf("same, %d flaky", len(v.flaky))
		}
		if row.err != nil || len(v.differences) > 0 {
			bad++
		}
		fmt.Fprintf(r.out, "%-18s %-8s %7d %9d %9d %9d %11d %9d %6s  %s\n",
			row.suite, row.flavour, v.tests, row.excluded, v.failedDirectly, v.failedThrough, len(v.differences), row.reads, row.took.Round(time.Second), note)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d comparisons show a difference or an error; logs are in %s", bad, len(r.rows), r.cache.logs)
	}
	if len(r.rows) == 0 {
		return errors.New("nothing was run")
	}
	return nil
}
