package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/telamondb/telamon/integration/bench/load"
)

// sample is one repetition. CPU times are milliseconds per 1000 statements.
type sample struct {
	QPS     float64 `json:"qps"`
	P50     float64 `json:"p50_us"` // of operations
	P99     float64 `json:"p99_us"`
	User    float64 `json:"user_ms"` // of the proxy
	System  float64 `json:"system_ms"`
	CPU     float64 `json:"cpu_ms"`         // of the proxy, user and system
	Backend float64 `json:"backend_cpu_ms"` // of the server behind it
	// Ratios to other targets in the same repetition, 0 where there is nothing
	// to compare with.
	QPSToDirect  float64 `json:"qps_to_direct,omitempty"`
	CPUToHAProxy float64 `json:"cpu_to_haproxy,omitempty"`
}

// measure runs one repetition of a workload on one target.
func measure(ctx context.Context, opts *options, t *target, servers *backend, w load.Workload, connections int) (sample, error) {
	workers, err := startLoad(opts, t.addr, w, connections)
	defer func() {
		for _, worker := range workers {
			worker.stop()
		}
	}()
	if err != nil {
		return sample{}, err
	}
	for _, worker := range workers {
		m, err := worker.hear(ctx)
		if err == nil && !m.Ready {
			err = errors.New("load process is not ready")
		}
		if err != nil {
			return sample{}, err
		}
	}
	before, err := cpuOfBoth(t, servers)
	if err != nil {
		return sample{}, err
	}
	total, err := collect(ctx, workers)
	if err != nil {
		return sample{}, err
	}
	after, err := cpuOfBoth(t, servers)
	if err != nil {
		return sample{}, err
	}
	return total.sample(after.proxy.minus(before.proxy), after.backend.minus(before.backend)), nil
}

// startLoad divides the connections among load processes.
func startLoad(opts *options, addr string, w load.Workload, connections int) ([]*worker, error) {
	var workers []*worker
	processes := min(opts.processes, connections)
	first := 0
	for i := range processes {
		cfg := load.Config{
			Addr: addr, Login: login, Workload: w, FirstConnection: first, Duration: opts.duration,
			Connections: connections/processes + min(1, max(0, connections%processes-i)),
		}
		cfg.Login.OldEOF = opts.oldEOF
		if opts.operations > 0 {
			cfg.Duration = 0
			cfg.Operations = max(1, opts.operations*uint64(cfg.Connections)/uint64(connections))
		}
		first += cfg.Connections
		worker, err := startWorker(loadArgs(cfg)...)
		if err != nil {
			return workers, err
		}
		workers = append(workers, worker)
	}
	return workers, nil
}

// totals is what all load processes together did.
type totals struct {
	statements uint64
	qps        float64
	latency    load.Histogram
}

// collect lets the load begin and adds up its results.
func collect(ctx context.Context, workers []*worker) (*totals, error) {
	for _, worker := range workers {
		if err := worker.say("go"); err != nil {
			return nil, fmt.Errorf("load process: %w", err)
		}
	}
	sum := &totals{}
	for _, worker := range workers {
		m, err := worker.hear(ctx)
		if err == nil && m.Result == nil {
			err = errors.New("load process sent no result")
		}
		if err != nil {
			return nil, err
		}
		sum.statements += m.Result.Statements
		sum.qps += float64(m.Result.Statements) / m.Result.Elapsed.Seconds()
		sum.latency.Merge(m.Result.Latency)
	}
	return sum, nil
}

func (t *totals) sample(proxy, server cpuTime) sample {
	per1000 := func(d time.Duration) float64 {
		return d.Seconds() * 1e3 / (float64(t.statements) / 1e3)
	}
	user, system := proxy.split()
	return sample{
		QPS: t.qps,
		P50: float64(t.latency.Quantile(0.5)) / 1e3, P99: float64(t.latency.Quantile(0.99)) / 1e3,
		User: per1000(user), System: per1000(system), CPU: per1000(proxy.total),
		Backend: per1000(server.total),
	}
}

type bothCPU struct{ proxy, backend cpuTime }

func cpuOfBoth(t *target, servers *backend) (both bothCPU, err error) {
	if both.proxy, err = cpuOf(t.pids); err != nil {
		return both, err
	}
	both.backend, err = cpuOf(servers.pids)
	return both, err
}

// measureIdle starts a proxy anew, so that no earlier load has grown it, and
// measures its memory at growing numbers of clients that ran one statement and
// are quiet since.
func measureIdle(ctx context.Context, p proxy, servers *backend, counts []int) ([]idleResult, error) {
	t, err := p.start(ctx, servers)
	if err != nil {
		return nil, err
	}
	defer t.stop()
	w, err := startWorker(workerIdle, t.addr)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	empty, err := settledRSS(ctx, t.pids)
	if err != nil {
		return nil, err
	}
	most := (descriptorLimit() - reservedDescriptors) / p.perClient
	var results []idleResult
	for _, wanted := range counts {
		clients := min(wanted, most)
		if err := w.say(fmt.Sprint(clients)); err != nil {
			return results, err
		}
		if _, err := w.hear(ctx); err != nil {
			return results, fmt.Errorf("%d idle clients: %w%s", clients, err, t.logTail())
		}
		rss, err := settledRSS(ctx, t.pids)
		if err != nil {
			return results, err
		}
		results = append(results, idleResult{
			Target: p.name, Clients: clients, RSS: rss, Empty: empty,
			PerClient: float64(rss-empty) / float64(clients),
		})
	}
	return results, nil
}

// settledRSS waits until the resident memory stops changing, for at most ten
// seconds: runtimes give memory back late, and that is as it is in service.
func settledRSS(ctx context.Context, pids []int) (int64, error) {
	const every, still, most = 250 * time.Millisecond, 6, 40
	tick := time.NewTicker(every)
	defer tick.Stop()
	last, same := int64(-1), 0
	for range most {
		rss, err := rssOf(pids)
		if err != nil {
			return 0, err
		}
		same++
		if diff := rss - last; diff > rss/500 || diff < -rss/500 {
			same = 0
		}
		if last = rss; same >= still {
			break
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
	return last, nil
}
