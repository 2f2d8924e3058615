package main

import (
	"regexp"
	"strings"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/account"
	"github.com/telamondb/telamon/backend/monitor"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/conf"
	"github.com/telamondb/telamon/proxy"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/wire"
)

// This file is the only place that knows both the configuration and the parts
// it configures. Everything here is a function of a valid Config and cannot
// fail.

// backendSpecs describes the servers to backend.Store.
func backendSpecs(cfg *conf.Config) []backend.Spec {
	specs := make([]backend.Spec, len(cfg.Backends))
	for i, b := range cfg.Backends {
		role, _ := backend.ParseRole(b.Role)
		specs[i] = backend.Spec{
			Address: b.Address, Role: role, Weight: b.Weight,
			MaxConnections: b.MaxConnections, MaxLag: b.MaxLag, Tags: b.Tags,
		}
		if b.MaxLag == 0 {
			specs[i].MaxLag = backend.LagUnchecked
		}
	}
	return specs
}

// serverDialer logs in to servers with the passwords of [[users]].
func serverDialer(cfg *conf.Config) *pool.Dialer {
	passwords := make(map[string]conf.Secret, len(cfg.Users))
	for _, u := range cfg.Users {
		passwords[u.Name] = u.Password
	}
	var attributes []byte
	for _, a := range [...][2]string{{"_client_name", "telamon"}, {"_client_version", programVersion()}, {"program_name", "telamon " + cfg.Instance}} {
		attributes = wire.AppendAttribute(attributes, a[0], a[1])
	}
	return &pool.Dialer{
		ServerKey:     serverKeys(cfg),
		Timeout:       loginTimeout,
		Encryption:    backendEncryption(cfg),
		Compression:   backendCompression(cfg),
		ProxyProtocol: backendProxyProtocol(cfg),
		Attributes:    attributes,
		Password: func(user string) (string, bool) {
			p, ok := passwords[user]
			return p.Reveal(), ok
		},
	}
}

// loginTimeout bounds opening a connection to a server. A server that takes
// longer is no use to a statement that waits for it.
const loginTimeout = 3 * time.Second

func poolLimits(cfg *conf.Config) pool.Limits {
	return pool.Limits{
		MinIdle: cfg.Pool.MinIdle, MaxIdle: cfg.Pool.MaxIdle, IdleTimeout: cfg.Pool.IdleTimeout,
		MaxLifetime: cfg.Pool.MaxLifetime, WaitTimeout: cfg.Pool.WaitTimeout,
		MaxStatements: cfg.Pool.MaxPreparedStatements,
	}
}

func monitorConfig(cfg *conf.Config) monitor.Config {
	m := monitor.DefaultConfig()
	m.Username, m.Password = cfg.Monitor.Username, cfg.Monitor.Password.Reveal()
	m.Interval, m.Timeout = cfg.Monitor.Interval, cfg.Monitor.Timeout
	m.Encryption = backendEncryption(cfg)
	m.ServerKey = serverKeys(cfg)
	m.ProxyProtocol = backendProxyProtocol(cfg)
	m.Fall, m.Rise = cfg.Monitor.Fall, cfg.Monitor.Rise
	m.Maintenance = monitor.Maintenance{
		Enabled: cfg.Maintenance.Enabled, MaxLag: cfg.Maintenance.MaxLag,
		Hold: cfg.Maintenance.Hold, SlowStart: cfg.Maintenance.SlowStart,
	}
	return m
}

// proxyConfig describes the proxy to itself. servers are the accounts of the
// servers, in case they count.
func proxyConfig(cfg *conf.Config, servers *account.Directory) *proxy.Config {
	serverVersion := cfg.Proxy.ServerVersion
	if serverVersion == "auto" {
		serverVersion = ""
	}
	pc := &proxy.Config{
		NodeID: uint32(cfg.NodeID),
		Users:  proxyUsers(cfg), Rules: routingRules(cfg),
		MaxConnections: cfg.Proxy.MaxConnections,
		ConnectTimeout: cfg.Proxy.ConnectTimeout, WaitTimeout: cfg.Proxy.WaitTimeout,
		MaxPreparedStatements: cfg.Proxy.MaxPreparedStatements,
		WriteTimeout:          cfg.Proxy.WriteTimeout,
		ConsistencyWait:       cfg.Consistency.Wait,
		ServeStale:            cfg.Consistency.NoPrimary == "replica",
		Monotonic:             cfg.Consistency.Monotonic,
		Sticky:                stickyReads(cfg.Routing.Sticky),
		ServerVersion:         serverVersion,
		TLS:                   proxyTLS(cfg),
		Compression:           offeredCompression(cfg.Proxy.Compression),
		Allow:                 cfg.Proxy.Allow, LoadBalancers: cfg.Proxy.LBIPs,
		ProxyProtocolFrom: cfg.Proxy.ProxyProtocolFrom,
	}
	if cfg.Auth.Source == "backend" {
		servers.SetRecheck(cfg.Auth.Recheck)
		pc.Accounts = servers
	}
	return pc
}

func stickyReads(s conf.Sticky) proxy.Sticky {
	by := map[string]proxy.StickyBy{"client_ip": proxy.StickyClientIP, "user": proxy.StickyUser}[s.By]
	return proxy.Sticky{By: by, For: s.For}
}

func consistencyLevel(s string) router.Consistency {
	switch s {
	case "off":
		return router.ConsistencyOff
	case "session":
		return router.ConsistencySession
	}
	return router.ConsistencyGlobal
}

func routingRules(cfg *conf.Config) *router.Rules {
	rules := &router.Rules{
		ReadOnlyTrxOnPrimary: cfg.Routing.ReadOnlyTrx == "primary",
		Guard: router.Guard{
			DenyNoWhere:     cfg.Guard.DMLWithoutWhere == "deny",
			DeniedFunctions: cfg.Guard.DeniedFunctions,
		},
	}
	if cfg.Routing.NoReplica == "error" {
		rules.NoReplica = router.NoReplicaError
	}
	for _, r := range cfg.Routing.Rules {
		rules.Rules = append(rules.Rules, routingRule(r))
	}
	for _, b := range cfg.Backends {
		rules.Backends = append(rules.Backends, b.Address)
		rules.Tags = append(rules.Tags, b.Tags...)
	}
	return rules
}

func routingRule(r conf.Rule) router.Rule {
	rule := router.Rule{Name: r.Name, User: r.User, Timeout: r.Timeout}
	if r.Match != "" {
		rule.Match = regexp.MustCompile(r.Match) // conf has compiled it
	}
	kind, arg, _ := strings.Cut(r.Route, ":")
	rule.Arg = arg
	rule.Route = map[string]router.RuleRoute{
		"": router.RouteDefault, "primary": router.RoutePrimary, "replica": router.RouteReplica,
		"tag": router.RouteTag, "backend": router.RouteBackend, "deny": router.RouteDeny,
	}[kind]
	return rule
}
