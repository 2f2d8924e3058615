package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"github.com/telamondb/telamon/admin"
	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/account"
	"github.com/telamondb/telamon/backend/causal"
	"github.com/telamondb/telamon/backend/monitor"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/conf"
	"github.com/telamondb/telamon/proxy"
	"github.com/telamondb/telamon/router"
)

// daemon is the running program: the parts and what connects them.
type daemon struct {
	path string // of the configuration file
	log  *logger

	store   *backend.Store
	pools   *pool.Pools
	monitor *monitor.Monitor
	// servers and accounts know who may log in with auth.source = "backend".
	servers  *account.Servers
	accounts *account.Directory
	proxy    *proxy.Proxy
	console  *admin.Console
	http     *admin.HTTP

	listeners []listener

	reloading  sync.Mutex // one reload at a time
	config     atomic.Pointer[conf.Config]
	lastReload atomic.Pointer[reloadOutcome]
}

// listener is an open port and what it is for.
type listener struct {
	net.Listener
	kind listenerKind
}

type listenerKind uint8

const (
	listenAuto listenerKind = iota
	listenWrite
	listenRead
	listenConsole
	listenHTTP
)

// drainTime is how long statements and transactions may go on after SIGTERM.
const drainTime = 15 * time.Second

// newDaemon puts the parts together. Nothing runs before run.
func newDaemon(path string, cfg *conf.Config, log *logger) (*daemon, error) {
	store, err := backend.NewStore(backendSpecs(cfg))
	if err != nil {
		return nil, err
	}
	d := &daemon{path: path, log: log, store: store}
	d.config.Store(cfg)
	d.pools = pool.NewPools(serverDialer(cfg), poolLimits(cfg))
	store.Subscribe(d.pools.Follow)
	d.monitor = monitor.New(store, monitorConfig(cfg), monitor.Options{OnChange: d.backendChanged})
	d.servers = account.NewServers(store, d.pools)
	d.servers.SetMonitor(cfg.Monitor.Username, cfg.Monitor.Password.Reveal())
	d.servers.SetByClient(tellsClients(cfg))
	d.accounts = account.New(d.servers, cfg.Auth.Recheck)
	d.proxy = proxy.New(proxyConfig(cfg, d.accounts), proxy.Deps{
		Store: store, Pools: d.pools, Writes: &causal.Log{}, Report: d.monitor.Report, Log: log.Logger,
	})
	store.Subscribe(d.proxy.Follow)
	d.buildAdmin(cfg)
	return d, nil
}

func (d *daemon) buildAdmin(cfg *conf.Config) {
	deps := d.adminDeps()
	d.console = admin.NewConsole(admin.ConsoleConfig{
		Credentials: consoleCredentials(cfg), Encryption: consoleEncryption(cfg), Version: programVersion(), Log: d.log.Named("console"),
	}, deps)
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		admin.NewCollector(programVersion(), deps), d.console,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	d.http = admin.NewHTTP(admin.HTTPConfig{
		Credentials: httpCredentials(cfg), Instance: cfg.Instance, Version: programVersion(),
		Gatherer: registry, Log: d.log.Named("http"),
	}, deps)
}

func consoleCredentials(cfg *conf.Config) admin.Credentials {
	return admin.Credentials{Username: cfg.Admin.Username, Password: cfg.Admin.Password.Reveal()}
}

func httpCredentials(cfg *conf.Config) admin.Credentials {
	return admin.Credentials{Username: cfg.Admin.HTTPUsername, Password: cfg.Admin.HTTPPassword.Reveal()}
}

// backendChanged logs what becomes of a server.
func (d *daemon) backendChanged(old, st backend.State) {
	fields := []zap.Field{
		zap.String("backend", st.String()), zap.Stringer("role", st.Role),
		zap.Stringer("was", old.Health), zap.Stringer("is", st.Health),
	}
	if st.Reason != "" {
		fields = append(fields, zap.String("reason", st.Reason))
	}
	if st.Replaced(&old) {
		d.log.Warn("another server answers at the address of a backend; its connections are opened anew",
			append(fields, zap.Uint32("server_id", st.ServerID), zap.String("identity", st.Identity))...)
		return
	}
	if st.Health == backend.Up && st.Reason == "" {
		d.log.Info("backend", fields...)
		return
	}
	d.log.Warn("backend", fields...)
}

// listen opens all ports, or none.
func (d *daemon) listen() error {
	cfg := d.config.Load()
	var want []struct {
		address string
		kind    listenerKind
	}
	add := func(kind listenerKind, addresses ...string) {
		for _, a := range addresses {
			if a != "" {
				want = append(want, struct {
					address string
					kind    listenerKind
				}{a, kind})
			}
		}
	}
	add(listenAuto, cfg.Proxy.Listen...)
	add(listenWrite, cfg.Proxy.ListenWrite...)
	add(listenRead, cfg.Proxy.ListenRead...)
	add(listenConsole, cfg.Admin.Listen)
	add(listenHTTP, cfg.Admin.HTTP)
	for _, w := range want {
		ln, err := listenOn(w.address)
		if err != nil {
			d.closeListeners()
			return &exitCode{exitListen, fmt.Errorf("listening on %s: %w", w.address, err)}
		}
		d.listeners = append(d.listeners, listener{ln, w.kind})
	}
	return nil
}

// listenOn opens a port or a UNIX socket. A socket file that nobody serves any
// more, left by a process that was killed, is replaced.
func listenOn(address string) (net.Listener, error) {
	network, addr := conf.SplitAddress(address)
	if network == "unix" {
		if c, err := net.DialTimeout(network, addr, time.Second); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("%s is in use by another process", addr)
		} else if strings.Contains(err.Error(), "connection refused") {
			_ = os.Remove(addr)
		}
	}
	return net.Listen(network, addr)
}

func (d *daemon) closeListeners() {
	for _, ln := range d.listeners {
		_ = ln.Close()
	}
}

// run serves until ctx ends, then drains. It returns when everything has ended.
// A second context, now, ends things without draining.
func (d *daemon) run(ctx, now context.Context) error {
	parts, stopParts := context.WithCancel(context.WithoutCancel(ctx))
	defer stopParts()
	var wg sync.WaitGroup
	failed := make(chan error, len(d.listeners)+3)
	start := func(ctx context.Context, what string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				failed <- fmt.Errorf("%s: %w", what, err)
			}
		})
	}
	start(parts, "monitor", d.monitor.Run)
	start(parts, "pools", d.pools.Run)
	start(parts, "proxy", d.proxy.Run)
	d.firstLook(ctx)
	for _, ln := range d.listeners {
		serving := ctx
		if ln.kind == listenConsole || ln.kind == listenHTTP {
			serving = parts // reachable while draining
		}
		start(serving, ln.Addr().String(), d.serveOn(ln))
		d.log.Info("listening", zap.Stringer("address", ln.Addr()), zap.String("for", ln.kind.String()))
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		d.log.Error("stopping", zap.Error(err))
	}
	d.closeProxyListeners()
	d.drain(now)
	stopParts()
	wg.Wait()
	return err
}

// firstLook gives the monitor time to see every server once, so that the first
// clients do not meet servers nobody has looked at.
func (d *daemon) firstLook(ctx context.Context) {
	cfg := d.config.Load()
	seen := make(chan struct{}, 1)
	cancel := d.store.Subscribe(func(_, t *backend.Topology) {
		if allSeen(t) {
			select {
			case seen <- struct{}{}:
			default:
			}
		}
	})
	defer cancel()
	if allSeen(d.store.Load()) {
		return
	}
	timer := time.NewTimer(cfg.Monitor.Timeout + cfg.Monitor.Interval)
	defer timer.Stop()
	select {
	case <-seen:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func allSeen(t *backend.Topology) bool {
	return !slices.ContainsFunc(t.States, func(st backend.State) bool { return st.Health == backend.Unknown })
}

func (d *daemon) serveOn(ln listener) func(context.Context) error {
	return func(ctx context.Context) error {
		switch ln.kind {
		case listenConsole:
			return d.console.Serve(ctx, ln)
		case listenHTTP:
			return d.http.Serve(ctx, ln)
		case listenWrite:
			return d.proxy.Serve(ctx, ln, router.WriteOnly)
		case listenRead:
			return d.proxy.Serve(ctx, ln, router.ReadOnly)
		}
		return d.proxy.Serve(ctx, ln, router.Auto)
	}
}

func (k listenerKind) String() string {
	return [...]string{"reads and writes", "writes", "reads", "console", "http"}[k]
}

func (d *daemon) closeProxyListeners() {
	for _, ln := range d.listeners {
		if ln.kind <= listenRead {
			_ = ln.Close()
		}
	}
}

// drain lets clients finish, until now ends or time is up.
func (d *daemon) drain(now context.Context) {
	ctx, cancel := context.WithTimeout(now, drainTime)
	defer cancel()
	d.log.Info("draining", zap.Int("clients", d.proxy.Counts().Clients), zap.Duration("at_most", drainTime))
	if err := d.proxy.Drain(ctx); err != nil {
		d.log.Warn("drain cut short", zap.Error(err))
	}
}
