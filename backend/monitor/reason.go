package monitor

import (
	"fmt"
	"time"

	"github.com/telamondb/telamon/backend"
)

// goneReason words why a server cannot be reached.
func goneReason(obs Observation) (backend.Cause, string) {
	switch obs.Failure {
	case Refused:
		return backend.CauseRefused, fmt.Sprintf("does not accept connections (%v); nothing is sent there until it answers again; is the server running and reachable from here?", obs.Err)
	case ShuttingDown:
		return backend.CauseShutdown, fmt.Sprintf("is shutting down (%v); nothing is sent there until it answers again", obs.Err)
	case Blocked:
		return backend.CauseBlocked, fmt.Sprintf("refuses this host (%v); run FLUSH HOSTS there, or raise max_connect_errors", obs.Err)
	case Resolve:
		return backend.CauseUnresolved, fmt.Sprintf("has a name that cannot be looked up (%v); check DNS or configure its address", obs.Err)
	case Timeout:
		return backend.CauseHung, fmt.Sprintf("does not answer in time (%v); nothing is sent there until it answers again; a hung server, a full disk, or a broken network", obs.Err)
	}
	if obs.Failure == Broken {
		return backend.CauseProtocol, fmt.Sprintf("cannot be checked (%v); nothing is sent there until it can", obs.Err)
	}
	return backend.CauseProtocol, fmt.Sprintf("does not answer as a MySQL server does (%v); is the address right?", obs.Err)
}

// blindReason words why a living server cannot be looked into.
func blindReason(obs Observation) string {
	switch obs.Failure {
	case Auth:
		return fmt.Sprintf("refuses the monitor's login (%v); check [monitor] username and password", obs.Err)
	case TooMany:
		return fmt.Sprintf("has no connection free for the monitor (%v); raise max_connections there or lower the backend's", obs.Err)
	case Privilege:
		return fmt.Sprintf("does not show its replication status (%v); GRANT REPLICATION CLIENT (MariaDB from 10.5: SLAVE MONITOR) ON *.* to the monitor's account", obs.Err)
	}
	return fmt.Sprintf("cannot be checked because this machine cannot open a connection (%v); raise its limits", obs.Err)
}

// replicates judges the replication of an observation: CauseNone if it is fit
// to serve reads at most limit behind. A negative limit asks nothing.
func replicates(obs Observation, limit time.Duration) (backend.Cause, string) {
	switch {
	case limit < 0:
		return backend.CauseNone, ""
	case len(obs.Channels) > 0:
		return channelsRun(obs.Channels, limit)
	case obs.Galera.serves():
		return backend.CauseNone, ""
	case obs.Galera.Member:
		return backend.CauseNotSynced, fmt.Sprintf("is a Galera member that is not synced (wsrep_ready %t, wsrep_local_state %d); it serves again when it is", obs.Galera.Ready, obs.Galera.State)
	}
	return backend.CauseNoReplication, "is to serve reads but replicates from nowhere, so nothing tells how old its data is; set up replication, or set max_lag = \"0s\" if that is intended"
}

func channelsRun(channels []Channel, limit time.Duration) (backend.Cause, string) {
	for i := range channels {
		ch := &channels[i]
		if !ch.SQL || !ch.running() {
			return backend.CauseReplicationStopped, stoppedReason(ch)
		}
	}
	lag, known := lagOf(channels)
	switch {
	case !known:
		return backend.CauseLag, "does not know how far it is behind; it serves no reads until it does"
	case lag > limit:
		return backend.CauseLag, fmt.Sprintf("is %s behind, more than %s; it serves no reads until it has caught up", lag, limit)
	}
	return backend.CauseNone, ""
}

func stoppedReason(ch *Channel) string {
	var s string
	switch {
	case !ch.SQL && ch.IO == "No":
		s = "replication is stopped"
	case !ch.SQL:
		s = "the replication SQL thread is stopped"
	case ch.connecting():
		s = "cannot reach its source " + ch.Source.Address
	default:
		s = "the replication IO thread is stopped"
	}
	if ch.Name != "" {
		s = fmt.Sprintf("channel %q: %s", ch.Name, s)
	}
	if ch.connecting() && ch.SQL {
		s += "; it serves no reads until it can; is the source running, is it the right one, is the replication account good?"
		if ch.LastError != "" {
			s += " (" + ch.LastError + ")"
		}
		return s
	}
	if ch.LastError != "" {
		return s + ": " + ch.LastError + "; it serves no reads until that is repaired"
	}
	return s + "; it serves no reads until it runs (START REPLICA, in older versions START SLAVE)"
}

// lagOf is the lag of the slowest channel, unknown if one is.
func lagOf(channels []Channel) (lag time.Duration, known bool) {
	for i := range channels {
		if !channels[i].LagKnown {
			return 0, false
		}
		lag = max(lag, channels[i].Lag)
	}
	return lag, len(channels) > 0
}

func anyCutOff(channels []Channel) bool {
	for i := range channels {
		if channels[i].cutOff() {
			return true
		}
	}
	return false
}
