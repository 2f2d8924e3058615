package monitor

import (
	"fmt"
	"time"

	"github.com/telamondb/telamon/backend"
)

// Verdict is what a server is fit for.
type Verdict struct {
	Health backend.Health // never Offline, that is the operator's word
	Cause  backend.Cause
	Reason string // for people; may change without the verdict having changed
	Role   backend.Role

	Lag      time.Duration
	LagKnown bool
	// CaughtUp: replication runs, within the limits for coming back, for long
	// enough, and all that had been received at the beginning is applied.
	CaughtUp bool
	// Back is set on the step that puts a replica back: slow start.
	Back bool
}

// Detector judges one server by the observations made of it. It has no clock
// and does no I/O: the same steps give the same verdicts. The zero Detector
// has seen nothing; call Configure before the first Step.
type Detector struct {
	cfg    Config
	role   backend.Role
	maxLag time.Duration // LagUnchecked: replication is not looked at

	last   Verdict
	looked bool // some observation was conclusive
	served bool // was Up once as a replica

	fails, goods int  // soft failures and answers in a row
	hanging      bool // the last failure was a timeout
	lost         bool // unreachable, and not back for Rise answers yet

	cutOff   int       // observations in a row with a replica's source gone
	measured time.Time // when a replica's lag was known last
	catchUp  catchUp
}

// Configure sets what the next steps go by. maxLag is Spec.MaxLag.
func (d *Detector) Configure(cfg Config, role backend.Role, maxLag time.Duration) {
	d.cfg, d.role, d.maxLag = cfg.normal(), role, maxLag
}

// Step takes the next observation, made at the time now, and returns the
// verdict; changed tells whether its Health, Cause or Role are new.
func (d *Detector) Step(obs Observation, now time.Time) (v Verdict, changed bool) {
	before := d.last
	d.last = d.judge(obs, now)
	v = d.last
	return v, v.Health != before.Health || v.Cause != before.Cause || v.Role != before.Role
}

// doubtful reports that a server may be hung: worth another look at once.
func (d *Detector) doubtful() bool { return d.hanging && d.fails > 0 && d.fails < d.cfg.Fall }

func (d *Detector) judge(obs Observation, now time.Time) Verdict {
	d.hanging = obs.Failure == Timeout
	switch obs.Failure {
	case Refused, ShuttingDown, Blocked:
		d.fails++
		return d.gone(obs)
	case Timeout, Protocol, Broken, Resolve:
		d.fails++
		d.goods = 0
		if d.fails >= d.cfg.Fall {
			return d.gone(obs)
		}
		d.catchUp.reset()
		v := d.last
		v.Role, v.Back, v.CaughtUp = d.knownRole(), false, false
		if !d.looked {
			v.Health, v.Cause, v.Reason = backend.Unknown, backend.CauseNew, "first check: "+obs.Err.Error()
		}
		return v
	}
	if obs.Failure == Local {
		if d.lost || !d.looked {
			return d.last
		}
		return d.blind(obs, now)
	}
	d.fails = 0
	d.goods++
	if d.goods >= d.cfg.Rise || !d.looked {
		d.lost = false
	}
	if obs.Failure == OK || obs.Failure == Privilege && d.knownRole() == backend.RoleRW {
		return d.seen(obs, now)
	}
	return d.blind(obs, now)
}

// knownRole is the role known last.
func (d *Detector) knownRole() backend.Role {
	switch {
	case d.role != backend.RoleAuto:
		return d.role
	case d.looked:
		return d.last.Role
	}
	return backend.RoleRO
}

// gone is the verdict on a server that cannot be reached.
func (d *Detector) gone(obs Observation) Verdict {
	d.looked, d.lost, d.goods = true, true, 0
	d.catchUp.reset()
	cause, reason := goneReason(obs)
	return Verdict{Health: backend.Down, Cause: cause, Reason: reason, Role: d.knownRole()}
}

// returning is the verdict on a server that answers again, but not often enough.
func (d *Detector) returning() Verdict {
	v := Verdict{Health: backend.Down, Role: d.knownRole(), Cause: d.last.Cause}
	v.Reason = fmt.Sprintf("answers again, %d of %d good checks in a row; it is used after the last of them", d.goods, d.cfg.Rise)
	return v
}

// blind is the verdict on a server that lives but cannot be looked into. A rw
// server stays in use: its role is configured and the clients' own logins
// decide. A replica serves on for Config.Blind since its lag was last known,
// one that has no measurement behind it does not.
func (d *Detector) blind(obs Observation, now time.Time) Verdict {
	role := d.knownRole()
	d.catchUp.reset()
	defer func() { d.looked = true }()
	if d.lost {
		return d.returning()
	}
	v := Verdict{Health: backend.Up, Cause: backend.CauseBlind, Role: role}
	if role == backend.RoleRW || d.maxLag < 0 {
		v.Reason = blindReason(obs) + "; it stays in use because it answers"
		return v
	}
	if d.last.Health == backend.Up && d.last.Role == role {
		if left := d.cfg.Blind - now.Sub(d.measured); left > 0 {
			v.Reason = fmt.Sprintf("%s; it serves reads on for %s on its last good measurement", blindReason(obs), left.Round(time.Second))
			return v
		}
	}
	v.Health = backend.Down
	v.Reason = blindReason(obs) + "; it serves no reads because its lag is not known"
	return v
}

// seen is the verdict on a complete observation.
func (d *Detector) seen(obs Observation, now time.Time) Verdict {
	role := d.knownRole()
	if d.role == backend.RoleAuto {
		role = backend.RoleRO
		if len(obs.Channels) == 0 && !obs.ReadOnly {
			role = backend.RoleRW
		}
	}
	fresh := !d.looked
	d.looked = true
	if d.lost {
		d.catchUp.reset()
		return d.returning()
	}
	var v Verdict
	if role == backend.RoleRW {
		v = d.primary(obs, fresh, now)
	} else {
		v = d.replica(obs, fresh, now)
		if d.role == backend.RoleAuto && v.Cause == backend.CauseNoReplication {
			v.Reason = "is read_only and replicates from nowhere, so it is neither a primary nor a replica; SET GLOBAL read_only=0 makes it the one, setting up replication the other"
		}
	}
	v.Role = role
	return v
}

// primary judges a rw server: it is up when it answers. One that is read-only
// gets no writes (backend.State.Writable), but may be read.
func (d *Detector) primary(obs Observation, fresh bool, now time.Time) Verdict {
	v := Verdict{Health: backend.Up}
	if obs.ReadOnly {
		v.Cause = backend.CauseReadOnly
		v.Reason = "read_only is on: no writes are sent there; SET GLOBAL read_only=0 if it is to be the primary"
	}
	if obs.Failure != OK || len(obs.Channels) == 0 {
		d.catchUp.reset()
		return v
	}
	cause, _ := replicates(obs, d.returnLag())
	done, _ := d.catchUp.step(obs.Channels, cause == backend.CauseNone, d.cfg.Maintenance.Hold, now)
	v.CaughtUp = done || fresh && cause == backend.CauseNone
	v.Lag, v.LagKnown = lagOf(obs.Channels)
	return v
}

// replica judges a ro server.
func (d *Detector) replica(obs Observation, fresh bool, now time.Time) Verdict {
	v := Verdict{Health: backend.Up}
	v.Lag, v.LagKnown = lagOf(obs.Channels)
	if obs.Galera.Member && len(obs.Channels) == 0 {
		v.Lag, v.LagKnown = 0, obs.Galera.serves()
	}
	v.Cause, v.Reason = replicates(obs, d.maxLag)
	serving := d.last.Health == backend.Up && d.last.Role == backend.RoleRO
	if serving && d.sourceGone(obs) {
		v.Cause, v.Reason = backend.CauseNone, "has lost its source; it serves on while the primary is being looked at"
		if obs.PrimaryLost {
			v.Reason = "has lost its source, which is down; it serves on because nothing can be written meanwhile"
		}
		return v
	}
	good := v.Cause == backend.CauseNone
	if good {
		d.measured = now
	}
	switch {
	case good && (serving || fresh):
		v.CaughtUp, d.served = true, true
		return v
	case !good:
		d.catchUp.reset()
		v.Health = backend.Down
		return v
	}
	return d.comeBack(v, obs, now)
}

// sourceGone reports whether a serving replica has merely lost contact to its
// source, and may go on for a moment: until the primary has been looked at, or
// as long as it is found dead. Otherwise the death of the primary would take
// out every replica as well.
func (d *Detector) sourceGone(obs Observation) bool {
	if !anyCutOff(obs.Channels) {
		d.cutOff = 0
		return false
	}
	for i := range obs.Channels {
		if ch := &obs.Channels[i]; !ch.SQL || !ch.running() && !ch.cutOff() {
			return false
		}
	}
	if obs.PrimaryLost {
		d.cutOff = 0
		return true
	}
	d.cutOff++
	return d.cutOff < max(d.cfg.Fall, 2)
}

// comeBack judges a replica that was out and is good again: the maintenance
// loop. v is the verdict so far, Up.
func (d *Detector) comeBack(v Verdict, obs Observation, now time.Time) Verdict {
	cause, why := replicates(obs, d.returnLag())
	done, waits := d.catchUp.step(obs.Channels, cause == backend.CauseNone, d.cfg.Maintenance.Hold, now)
	switch {
	case cause != backend.CauseNone:
		v.Health, v.Cause = backend.Down, backend.CauseCatchingUp
		v.Reason = "nearly there: " + why
	case !done:
		v.Health, v.Cause, v.Reason = backend.Down, backend.CauseCatchingUp, waits
	case d.served && !d.cfg.Maintenance.Enabled:
		v.Health, v.Cause = backend.Down, backend.CauseHeld
		v.Reason = "has caught up, but maintenance.enabled is off; SET ONLINE puts it back"
	default:
		v.CaughtUp, v.Back, d.served = true, true, true
	}
	return v
}

// returnLag is the lag a replica must reach to come back.
func (d *Detector) returnLag() time.Duration {
	if d.maxLag < 0 {
		return d.maxLag
	}
	return min(d.cfg.Maintenance.MaxLag, d.maxLag)
}

// catchUp watches a replica that is good again for the time it must stay so.
type catchUp struct {
	since time.Time
	marks map[string]LogPos // by channel: what had been received at since
}

func (c *catchUp) reset() { c.since, c.marks = time.Time{}, nil }

// step takes the channels of the next observation, which was good or not. It
// reports whether the replica has been good for hold and has applied all that
// it had received when it became good, and if not, what is awaited.
func (c *catchUp) step(channels []Channel, good bool, hold time.Duration, now time.Time) (done bool, waits string) {
	if !good {
		c.reset()
		return false, ""
	}
	applied, ok := c.applied(channels)
	if c.since.IsZero() || !ok {
		c.since, c.marks = now, make(map[string]LogPos, len(channels))
		for i := range channels {
			c.marks[channels[i].Name] = channels[i].Received
		}
		applied, _ = c.applied(channels)
	}
	switch held := now.Sub(c.since); {
	case held < hold:
		return false, fmt.Sprintf("has caught up; it serves again when it has stayed so for %s (%s so far)", hold, held.Round(100*time.Millisecond))
	case !applied:
		return false, "still applying what it had received when its lag became good"
	}
	return true, ""
}

// applied reports whether all marks are reached; ok false if they cannot be
// compared, because the channels or their sources are others by now.
func (c *catchUp) applied(channels []Channel) (applied, ok bool) {
	if len(c.marks) != len(channels) {
		return false, false
	}
	applied = true
	for i := range channels {
		mark, known := c.marks[channels[i].Name]
		if !known {
			return false, false
		}
		reached, comparable := channels[i].Executed.reached(mark)
		if !comparable {
			return false, false
		}
		applied = applied && reached
	}
	return applied, true
}
