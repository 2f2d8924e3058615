package admin

import (
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector turns what Deps shows into metrics, read at scrape time: nothing is
// counted twice and the data path does not know of it. A Console is a
// collector of its own.
type Collector struct {
	deps    Deps
	version string
}

// NewCollector returns a collector to register once. version goes to
// telamon_build_info.
func NewCollector(version string, deps Deps) *Collector {
	return &Collector{deps: deps.complete(), version: version}
}

// metric is a family the collectors emit.
type metric struct {
	desc *prometheus.Desc
	typ  prometheus.ValueType
}

func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("telamon_"+name, help, labels, nil), prometheus.GaugeValue}
}

// counter names end in _total.
func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("telamon_"+name, help, labels, nil), prometheus.CounterValue}
}

// emit sends one sample. Labels come from the outside and need not be UTF-8.
func (m metric) emit(ch chan<- prometheus.Metric, v float64, labels ...string) {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\uFFFD")
	}
	ch <- prometheus.MustNewConstMetric(m.desc, m.typ, v, labels...)
}

// The families, immutable. docs/monitoring.md explains each; a golden file
// keeps their names.
var (
	buildInfo = gauge("build_info", "Always 1; the labels name the build.", "version", "go_version")

	backendUp          = gauge("backend_up", "1 while the backend is up, else 0.", "address", "role")
	backendState       = gauge("backend_state", "1 for the state the backend is in, 0 for the others.", "address", "state")
	backendWeight      = gauge("backend_weight", "Share of reads.", "address")
	backendLag         = gauge("backend_replication_lag_seconds", "How far the replica is behind; missing while unknown.", "address")
	backendConnections = gauge("backend_connections", "Open connections to the backend.", "address")
	backendMax         = gauge("backend_connections_max", "Limit of connections to the backend; 0 = none.", "address")
	backendStatements  = counter("backend_statements_total", "Statements sent to the backend.", "address")
	backendCertificate = gauge("backend_certificate_expiry_timestamp_seconds", "When the certificate ends that the backend shows; missing without TLS.", "address")
	backendErrors      = counter("backend_errors_total", "Connections to the backend that failed or broke.", "address")

	poolConnections = gauge("pool_connections", "Connections in the pool.", "address", "state")
	poolWaiting     = gauge("pool_waiting", "Sessions waiting for a connection.", "address")
	poolOpened      = counter("pool_opened_total", "Connections opened.", "address")
	poolReused      = counter("pool_reused_total", "Connections lent again.", "address")
	poolResets      = counter("pool_resets_total", "Connections cleaned before they were lent again.", "address")

	routed = counter("routed_statements_total", "Statements routed.", "target", "reason")

	clientsConnected = gauge("clients_connected", "Clients connected now.")
	clientsMax       = gauge("clients_max", "Limit of clients; 0 = none.")
	clientsAccepted  = counter("clients_accepted_total", "Client connections accepted.")
	clientsRefused   = counter("clients_refused_total", "Client connections refused by a limit or an address list.")
	loginFailures    = counter("client_login_failures_total", "Client logins refused.")
	tlsAccepted      = counter("client_tls_handshakes_total", "Clients that have switched to TLS.")
	tlsFailures      = counter("client_tls_failures_total", "TLS handshakes with clients that failed.")
	sessionPanics    = counter("session_panics_total", "Sessions ended by a bug in telamon.")
	readRetries      = counter("read_retries_total", "Reads repeated on another server after theirs was lost.")
	unknownHints     = counter("unknown_hints_total", "Comments in the place of a hint that are none.")
	consistencyWaits = counter("consistency_waits_total", "Reads that asked a replica whether it has caught up.")
	consistencyMiss  = counter("consistency_misses_total", "Reads that went to the primary because their replica had not caught up in time.")

	certificateEnd = gauge("certificate_expiry_timestamp_seconds", "When the certificate that the key of the configuration names ends.", "key")

	reloadOK   = gauge("config_last_reload_successful", "1 if the last reload of the configuration was applied.")
	reloadTime = gauge("config_last_reload_timestamp_seconds", "When the configuration was last reloaded; 0 = never since start.")
)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range []metric{
		buildInfo, backendUp, backendState, backendWeight, backendLag, backendConnections, backendMax,
		backendStatements, backendErrors, backendCertificate, poolConnections, poolWaiting, poolOpened, poolReused, poolResets,
		routed, clientsConnected, clientsMax, clientsAccepted, clientsRefused, loginFailures, tlsAccepted, tlsFailures, sessionPanics,
		readRetries, unknownHints, consistencyWaits, consistencyMiss, certificateEnd, reloadOK, reloadTime,
	} {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	buildInfo.emit(ch, 1, c.version, runtime.Version())
	for _, b := range c.deps.Backends.List() {
		collectBackend(ch, b)
	}
	for _, p := range c.deps.Pools.Pools() {
		poolConnections.emit(ch, float64(p.Active), p.Address, "active")
		poolConnections.emit(ch, float64(p.Idle), p.Address, "idle")
		poolWaiting.emit(ch, float64(p.Waiting), p.Address)
		poolOpened.emit(ch, float64(p.Opened), p.Address)
		poolReused.emit(ch, float64(p.Reused), p.Address)
		poolResets.emit(ch, float64(p.Resets), p.Address)
	}
	for _, r := range c.deps.Routes.Routes() {
		routed.emit(ch, float64(r.Statements), r.Target, r.Reason)
	}
	n := c.deps.Counters.Counts()
	clientsConnected.emit(ch, float64(n.Clients))
	clientsMax.emit(ch, float64(n.MaxClients))
	clientsAccepted.emit(ch, float64(n.Accepted))
	clientsRefused.emit(ch, float64(n.Refused))
	loginFailures.emit(ch, float64(n.LoginFailures))
	tlsAccepted.emit(ch, float64(n.TLSAccepted))
	tlsFailures.emit(ch, float64(n.TLSFailures))
	for _, c := range n.Certificates {
		certificateEnd.emit(ch, float64(c.NotAfter.Unix()), c.Key)
	}
	sessionPanics.emit(ch, float64(n.Panics))
	readRetries.emit(ch, float64(n.Retries))
	unknownHints.emit(ch, float64(n.UnknownHints))
	consistencyWaits.emit(ch, float64(n.ConsistencyWaits))
	consistencyMiss.emit(ch, float64(n.ConsistencyMisses))
	reloadOK.emit(ch, oneIf(n.LastReloadOK || n.LastReload.IsZero()))
	if n.LastReload.IsZero() {
		reloadTime.emit(ch, 0)
	} else {
		reloadTime.emit(ch, float64(n.LastReload.UnixMilli())/1000)
	}
}

func collectBackend(ch chan<- prometheus.Metric, b Backend) {
	backendUp.emit(ch, oneIf(b.State == StateUp), b.Address, b.Type)
	for _, state := range []string{StateUnknown, StateUp, StateDown, StateOffline} {
		backendState.emit(ch, oneIf(b.State == state), b.Address, state)
	}
	backendWeight.emit(ch, float64(b.Weight), b.Address)
	if b.LagKnown {
		backendLag.emit(ch, b.Lag.Seconds(), b.Address)
	}
	if !b.CertificateEnd.IsZero() {
		backendCertificate.emit(ch, float64(b.CertificateEnd.Unix()), b.Address)
	}
	backendConnections.emit(ch, float64(b.Connections), b.Address)
	backendMax.emit(ch, float64(b.MaxConnections), b.Address)
	backendStatements.emit(ch, float64(b.Statements), b.Address)
	backendErrors.emit(ch, float64(b.Errors), b.Address)
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// The console's own families.
var (
	consoleConnections   = gauge("console_connections", "Connections to the console.")
	consoleLoginFailures = counter("console_login_failures_total", "Console logins refused.")
	consoleBlocked       = counter("console_blocked_total", "Console connections refused because their address failed to log in too often.")
	consoleCommands      = counter("console_commands_total", "Statements the console has answered.")
	consoleErrors        = counter("console_command_errors_total", "Statements the console has answered with an error.")
	consolePanics        = counter("console_panics_total", "Console connections ended by a bug.")
)

// Describe implements prometheus.Collector.
func (c *Console) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range []metric{
		consoleConnections, consoleLoginFailures, consoleBlocked, consoleCommands, consoleErrors, consolePanics,
	} {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *Console) Collect(ch chan<- prometheus.Metric) {
	consoleConnections.emit(ch, float64(c.stats.open.Load()))
	consoleLoginFailures.emit(ch, float64(c.stats.loginFailures.Load()))
	consoleBlocked.emit(ch, float64(c.stats.blocked.Load()))
	consoleCommands.emit(ch, float64(c.stats.commands.Load()))
	consoleErrors.emit(ch, float64(c.stats.commandErrors.Load()))
	consolePanics.emit(ch, float64(c.stats.panics.Load()))
}
