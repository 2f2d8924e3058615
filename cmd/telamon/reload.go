package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/telamondb/telamon/conf"
)

type reloadOutcome struct {
	at time.Time
	ok bool
}

// reload makes the configuration file's content take effect, or with dryRun
// says what it would change. A file with a problem changes nothing: the error
// has all problems, and the old configuration keeps running. SIGHUP and the
// console call it.
func (d *daemon) reload(_ context.Context, dryRun bool) ([]conf.Change, error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	next, problems := conf.Load(d.path, os.LookupEnv)
	if conf.Fatal(problems) {
		if !dryRun {
			d.lastReload.Store(&reloadOutcome{at: time.Now()})
		}
		return nil, &badConfig{problems}
	}
	if ended := endedCertificate(d.path, d.config.Load(), next); ended != nil {
		if !dryRun {
			d.lastReload.Store(&reloadOutcome{at: time.Now()})
		}
		return nil, &badConfig{ended}
	}
	changes := conf.Diff(d.config.Load(), next)
	if dryRun {
		return changes, nil
	}
	// Everything that can fail has succeeded; what follows cannot.
	if _, err := d.store.Reconcile(backendSpecs(next)); err != nil {
		return nil, fmt.Errorf("backends: %w", err)
	}
	d.pools.Configure(serverDialer(next), poolLimits(next))
	d.monitor.SetConfig(monitorConfig(next))
	d.servers.SetMonitor(next.Monitor.Username, next.Monitor.Password.Reveal())
	d.servers.SetByClient(tellsClients(next))
	d.proxy.Configure(proxyConfig(next, d.accounts))
	d.console.SetCredentials(consoleCredentials(next))
	d.console.SetEncryption(consoleEncryption(next))
	d.http.SetCredentials(httpCredentials(next))
	d.log.setLevel(next.Log.Level)
	d.config.Store(next)
	d.lastReload.Store(&reloadOutcome{at: time.Now(), ok: true})
	d.logWarnings(problems)
	return changes, nil
}

// badConfig is why a reload was refused.
type badConfig struct{ problems []conf.Problem }

func (e *badConfig) Error() string {
	var lines []string
	for _, p := range e.problems {
		if !p.Warning {
			lines = append(lines, p.String())
		}
	}
	return "configuration refused, the old one stays in force: " + strings.Join(lines, "; ")
}

// hangup is what SIGHUP asks for: a new log file and the new configuration.
func (d *daemon) hangup(ctx context.Context) {
	if err := d.log.out.reopen(); err != nil {
		d.log.Error("reopening the log", zap.Error(err))
	}
	changes, err := d.reload(ctx, false)
	var bad *badConfig
	switch {
	case errors.As(err, &bad):
		for _, p := range bad.problems {
			d.log.Error("configuration refused, the old one stays in force", zap.Stringer("problem", p))
		}
	case err != nil:
		d.log.Error("reload", zap.Error(err))
	default:
		d.logReload(changes)
	}
}

// logWarnings logs what is doubtful in a configuration that is in use, such as
// a certificate that ends soon.
func (d *daemon) logWarnings(problems []conf.Problem) {
	for _, p := range problems {
		d.log.Warn("configuration", zap.Stringer("problem", p))
	}
}

func (d *daemon) logReload(changes []conf.Change) {
	for _, c := range changes {
		if c.Restart {
			d.log.Warn("change takes effect after a restart", zap.String("key", c.Path), zap.String("from", c.Old), zap.String("to", c.New))
			continue
		}
		d.log.Info("changed", zap.String("key", c.Path), zap.String("from", c.Old), zap.String("to", c.New))
	}
	d.log.Info("configuration reloaded", zap.Int("changes", len(changes)))
}
