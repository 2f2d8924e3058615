package admin

import (
	"sync"
	"time"
)

// Brute force: so many failed logins from one address within the time block
// the address for the time.
const (
	maxFailures = 10 // the next one blocks
	blockTime   = time.Minute
	// maxTracked bounds the memory an attacker with many addresses can take.
	maxTracked = 1024
)

// throttle counts failed logins by address.
type throttle struct {
	mu    sync.Mutex
	hosts map[string]failures
}

// failures of one address. A success does not clear them: a script that logs in
// every second from the same address must not help who is guessing there.
type failures struct {
	count int
	until time.Time // when the count is forgotten, or the block ends
}

func newThrottle() *throttle { return &throttle{hosts: make(map[string]failures)} }

// blocked reports whether host may not log in now, and for how long.
func (t *throttle) blocked(host string) (wait time.Duration, blocked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.hosts[host]
	wait = time.Until(f.until)
	return wait, f.count > maxFailures && wait > 0
}

// failed counts one failure and reports whether it blocks the host.
func (t *throttle) failed(host string) (blocks bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	f, known := t.hosts[host]
	if !known {
		t.makeRoom(now)
	}
	if now.After(f.until) {
		f = failures{until: now.Add(blockTime)}
	}
	f.count++
	if f.count == maxFailures+1 {
		f.until = now.Add(blockTime)
		blocks = true
	}
	t.hosts[host] = f
	return blocks
}

// makeRoom forgets what is over, and if that is nothing, what will be over
// first among those not blocked, or any.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.hosts) < maxTracked {
		return
	}
	victim, victimBlocked, first := "", true, time.Time{}
	for host, f := range t.hosts {
		if now.After(f.until) {
			delete(t.hosts, host)
			continue
		}
		isBlocked := f.count > maxFailures
		if victim == "" || victimBlocked && !isBlocked || victimBlocked == isBlocked && f.until.Before(first) {
			victim, victimBlocked, first = host, isBlocked, f.until
		}
	}
	if len(t.hosts) >= maxTracked {
		delete(t.hosts, victim)
	}
}
