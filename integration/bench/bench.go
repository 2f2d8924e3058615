package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// bench runs everything opts ask for and prints it. A cell that cannot be
// measured is reported in its place and does not stop the others.
func bench(ctx context.Context, opts *options, stdout, stderr io.Writer) error {
	servers, err := startBackend(ctx, opts)
	if err != nil {
		return err
	}
	defer servers.stop()
	list := proxies(opts, stderr)
	res := newResults(opts, servers)
	if err := measureCells(ctx, opts, list, servers, res, stderr); err != nil {
		return err
	}
	if opts.idleWanted() {
		measureAllIdle(ctx, opts, list, servers, res, stderr)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	res.summarize()
	res.print(stdout)
	if opts.json != "" {
		if err := res.save(opts.json); err != nil {
			return err
		}
	}
	if opts.compare != "" {
		old, err := loadResults(opts.compare)
		if err != nil {
			return err
		}
		printComparison(stdout, old, res)
	}
	return res.failure()
}

// measureCells runs all repetitions of a cell before the next cell, the targets
// in turn within each repetition, so that a machine that slows down meanwhile
// slows all of them.
func measureCells(ctx context.Context, opts *options, list []proxy, servers *backend, res *results, stderr io.Writer) error {
	workloads := opts.workloads()
	if len(workloads) == 0 {
		return nil
	}
	var targets []*target
	defer func() {
		for _, t := range targets {
			t.stop()
		}
	}()
	for _, p := range list {
		t, err := p.start(ctx, servers)
		if err != nil {
			res.Errors = append(res.Errors, err.Error())
			fmt.Fprintf(stderr, "bench: LEFT OUT: %v\n", err)
			continue
		}
		targets = append(targets, t)
	}
	began, cells := time.Now(), len(workloads)*len(opts.connections)
	for _, w := range workloads {
		for _, n := range opts.connections {
			group := newGroup(w.Name, n, targets)
			for range opts.repetitions {
				for i, t := range targets {
					if group[i].Error != "" {
						continue
					}
					s, err := measure(ctx, opts, t, servers, w, n)
					if ctx.Err() != nil {
						return ctx.Err()
					}
					if err != nil {
						group[i].Error = err.Error()
						fmt.Fprintf(stderr, "bench: FAILED: %s, %d connections, %s: %v\n", w.Name, n, t.proxy.name, err)
						continue
					}
					group[i].Samples = append(group[i].Samples, s)
				}
			}
			res.Cells = append(res.Cells, group...)
			fmt.Fprintf(stderr, "bench: %d of %d, %s: %s with %d connections measured\n",
				len(res.Cells)/max(1, len(targets)), cells, time.Since(began).Round(time.Second), w.Name, n)
		}
	}
	return nil
}

func newGroup(workload string, connections int, targets []*target) []*cell {
	var group []*cell
	for _, t := range targets {
		group = append(group, &cell{Workload: workload, Connections: connections, Target: t.proxy.name})
	}
	return group
}

func measureAllIdle(ctx context.Context, opts *options, list []proxy, servers *backend, res *results, stderr io.Writer) {
	for _, p := range list {
		if p.command == nil {
			continue
		}
		found, err := measureIdle(ctx, p, servers, opts.idle)
		res.Idle = append(res.Idle, found...)
		if err != nil && !errors.Is(err, context.Canceled) {
			err = fmt.Errorf("idle clients of %s: %w", p.name, err)
			res.Errors = append(res.Errors, err.Error())
			fmt.Fprintf(stderr, "bench: FAILED: %v\n", err)
		}
		fmt.Fprintf(stderr, "bench: idle clients of %s measured\n", p.name)
	}
}
