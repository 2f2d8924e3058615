package monitor

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telamondb/telamon/backend"
)

// Options are the collaborators of a Monitor; every field is optional.
type Options struct {
	// NewProber makes the prober of a server; nil means NewSQLProber.
	NewProber func(*backend.Server) Prober
	// OnChange is called for each server whose health, cause or role changed,
	// whoever changed it, or that was replaced by another one, one call at a
	// time and in order, by Run's goroutine.
	OnChange func(old, new backend.State)
}

// Monitor keeps a Store's health up to date.
type Monitor struct {
	store  *backend.Store
	opts   Options
	config atomic.Pointer[Config]

	mu      sync.Mutex // guards the fields below; never held while calling out
	workers map[*backend.Server]*worker
	changes []change // to be told to OnChange
}

// change is a server's state before and after.
type change struct{ old, new backend.State }

// New returns a monitor for the backends of store. Run starts it.
func New(store *backend.Store, cfg Config, opts Options) *Monitor {
	if opts.NewProber == nil {
		opts.NewProber = func(s *backend.Server) Prober { return NewSQLProber(s) }
	}
	if opts.OnChange == nil {
		opts.OnChange = func(_, _ backend.State) {}
	}
	m := &Monitor{store: store, opts: opts, workers: map[*backend.Server]*worker{}}
	cfg = cfg.normal()
	m.config.Store(&cfg)
	return m
}

// SetConfig replaces the configuration; every server is probed with it at
// once. Safe for concurrent use.
func (m *Monitor) SetConfig(cfg Config) {
	cfg = cfg.normal()
	m.config.Store(&cfg)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.workers {
		w.wake()
	}
}

// Report tells the monitor that traffic met an error on server, which makes it
// look there at once. Reports that arrive while a look is due are one. It never
// blocks and is safe for concurrent use. The error itself is not evidence: the
// probe is. Only after backend.ErrOtherServer it is made by a new connection,
// as the one that is there may still lead to the server before.
func (m *Monitor) Report(server *backend.Server, err error) {
	m.mu.Lock()
	w := m.workers[server]
	m.mu.Unlock()
	if w == nil {
		return
	}
	if errors.Is(err, backend.ErrOtherServer) {
		w.redial.Store(true)
	}
	w.wake()
}

// Run watches the servers of the store, as it changes, until ctx ends; then it
// waits for its goroutines and returns nil. It is called once.
func (m *Monitor) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	cancel := m.store.Subscribe(func(old, new *backend.Topology) {
		m.resetWorkers(old, new)
		if m.note(old, new) || !sameServers(old, new) {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	})
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		m.adjust(ctx, &wg)
		m.tell()
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// note queues what changed for OnChange, which may be slow (a log on a full
// disk) and must not hold up the store.
func (m *Monitor) note(old, new *backend.Topology) (any bool) {
	for i := range new.States {
		st := &new.States[i]
		was := old.ByServer(st.Server)
		if was == nil || was.Health == st.Health && was.Cause == st.Cause && was.Role == st.Role && !st.Replaced(was) {
			continue
		}
		m.mu.Lock()
		m.changes = append(m.changes, change{*was, *st})
		m.mu.Unlock()
		any = true
	}
	return any
}

// tell calls OnChange for what is queued.
func (m *Monitor) tell() {
	m.mu.Lock()
	changes := m.changes
	m.changes = nil
	m.mu.Unlock()
	for _, c := range changes {
		m.opts.OnChange(c.old, c.new)
	}
}

// adjust starts a worker for each new server and stops those of removed ones.
func (m *Monitor) adjust(ctx context.Context, wg *sync.WaitGroup) {
	t := m.store.Load()
	m.mu.Lock()
	defer m.mu.Unlock()
	for server, w := range m.workers {
		if t.ByServer(server) == nil {
			w.stop()
			delete(m.workers, server)
		}
	}
	for i := range t.States {
		server := t.States[i].Server
		if m.workers[server] != nil {
			continue
		}
		wctx, stop := context.WithCancel(ctx)
		w := &worker{m: m, server: server, stop: stop, kick: make(chan struct{}, 1)}
		m.workers[server] = w
		wg.Go(func() { w.run(wctx) })
	}
}

// resetWorkers has a server that was set online, or given another role, judged
// afresh and at once.
func (m *Monitor) resetWorkers(old, new *backend.Topology) {
	for i := range new.States {
		st := &new.States[i]
		was := old.ByServer(st.Server)
		if was == nil || st.Cause != backend.CauseNew || (was.Health == st.Health && was.Cause == st.Cause) {
			continue
		}
		m.mu.Lock()
		if w := m.workers[st.Server]; w != nil {
			w.reset.Store(true)
			w.wake()
		}
		m.mu.Unlock()
	}
}

func sameServers(a, b *backend.Topology) bool {
	if len(a.States) != len(b.States) {
		return false
	}
	for i := range b.States {
		if a.ByServer(b.States[i].Server) == nil {
			return false
		}
	}
	return true
}

// worker watches one server.
type worker struct {
	m      *Monitor
	server *backend.Server
	stop   context.CancelFunc
	kick   chan struct{} // capacity 1: a pending look
	reset  atomic.Bool   // the detector must forget
	redial atomic.Bool   // the next probe takes a new connection
}

// wake makes the worker probe now, or once more if it is probing.
func (w *worker) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

func (w *worker) run(ctx context.Context) {
	prober := w.m.opts.NewProber(w.server)
	defer prober.Close()
	det := &Detector{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	refusals := 0
	var ended time.Time // of the last probe
	for {
		// However often the worker is woken, it does not probe in a tight loop.
		least := min(w.m.config.Load().Interval/wokenPauses, maxWokenPause)
		if refusals > 0 {
			least = minAuthPause
		}
		if !w.wait(ctx, timer, ended.Add(least)) {
			return
		}
		cfg := *w.m.config.Load()
		if w.reset.Swap(false) {
			*det = Detector{}
		}
		if w.redial.Swap(false) {
			prober.Close()
		}
		obs := prober.Probe(ctx, cfg)
		if ctx.Err() != nil {
			return
		}
		if obs.Failure == Auth {
			refusals++
		} else {
			refusals = 0
		}
		w.apply(det, obs, cfg)
		ended = time.Now()
		timer.Reset(pause(cfg, det, refusals))
	}
}

// When reports keep coming, a server is probed up to wokenPauses times per
// interval, but with pauses of at most maxWokenPause.
const (
	wokenPauses   = 10
	maxWokenPause = 50 * time.Millisecond
)

// minAuthPause is the least time between two logins of a refused account, so
// that neither reports nor the interval turn into a lock-out storm.
const minAuthPause = time.Second

// maxAuthPause bounds the growing pause after refused logins: a repaired
// account is noticed this late at worst.
const maxAuthPause = 8 * time.Second

// wait returns when the timer has fired or the worker was woken, but not
// before earliest; false when ctx has ended.
func (w *worker) wait(ctx context.Context, timer *time.Timer, earliest time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-w.kick:
	}
	rest := time.Until(earliest)
	if rest <= 0 {
		return true
	}
	timer.Reset(rest)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// pause returns how long to wait for the next probe: not at all while a doubt
// is open, a growing time after refused logins, else the interval; with jitter
// so that probes of many proxies spread.
func pause(cfg Config, det *Detector, refusals int) time.Duration {
	d := cfg.Interval
	switch {
	case refusals > 0:
		d = min(maxAuthPause, minAuthPause<<min(refusals-1, 3))
		d += d / 10 // keeps the jitter above the minimum
	case det.doubtful():
		return 0
	}
	return d - d/10 + rand.N(d/5+1)
}

// apply judges obs and publishes what follows.
func (w *worker) apply(det *Detector, obs Observation, cfg Config) {
	cutOff := false
	w.m.store.Update(func(d *backend.Draft) {
		st := d.State(w.server)
		if st == nil || w.reset.Load() {
			return // removed, or the operator decided while the probe ran
		}
		obs.PrimaryLost = primaryLost(w.m.store.Load())
		det.Configure(cfg, st.Spec.Role, st.Spec.MaxLag)
		v, _ := det.Step(obs, d.Now())
		record(st, obs)
		v.publish(d, st, cfg)
		cutOff = v.Health == backend.Up && anyCutOff(obs.Channels)
	})
	if cutOff {
		w.m.wakePrimary()
	}
}

// primaryLost reports whether writes have a home among the backends that
// cannot take them at present.
func primaryLost(t *backend.Topology) bool {
	if t.Primary() != nil {
		return false
	}
	for i := range t.States {
		if t.States[i].Role == backend.RoleRW {
			return true
		}
	}
	return false
}

// wakePrimary has the rw servers probed: a serving replica has lost its
// source, which may be dead.
func (m *Monitor) wakePrimary() {
	t := m.store.Load()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range t.States {
		if st := &t.States[i]; st.Role == backend.RoleRW && st.Health == backend.Up {
			if w := m.workers[st.Server]; w != nil {
				w.wake()
			}
		}
	}
}

// record copies what a server said about itself into its state.
func record(st *backend.State, obs Observation) {
	if !obs.Identified {
		return
	}
	st.SeenAt = obs.At
	st.Flavor, st.Version = obs.Flavor, obs.Version
	st.ServerID, st.ServerUUID, st.Identity = obs.ServerID, obs.UUID, obs.Identity
	st.ReadOnly, st.ReadOnlyKnown = obs.ReadOnly, true
	st.GTID = obs.GTID
	if obs.Failure != OK {
		return
	}
	st.Replicating = len(obs.Channels) > 0
	st.Sources = make([]backend.Source, len(obs.Channels))
	for i := range obs.Channels {
		st.Sources[i] = obs.Channels[i].Source
	}
}

// publish writes the verdict into st; an operator's Offline stays.
func (v Verdict) publish(d *backend.Draft, st *backend.State, cfg Config) {
	st.Role = v.Role
	st.Lag, st.LagKnown, st.CaughtUp = v.Lag, v.LagKnown, v.CaughtUp
	if st.Health == backend.Offline {
		return
	}
	switch {
	case v.Back:
		st.Ramp = backend.Ramp{From: d.Now(), For: cfg.Maintenance.SlowStart}
	case v.Health != backend.Up:
		st.Ramp = backend.Ramp{}
	}
	d.SetHealth(st, v.Health, v.Cause, v.Reason)
}
