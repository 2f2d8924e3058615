package main

import (
	"crypto/rsa"
	"slices"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/account"
	"github.com/telamondb/telamon/conf"
	"github.com/telamondb/telamon/proxy"
	"github.com/telamondb/telamon/wire/auth"
)

// proxyUsers describes the users of the configuration to the proxy. With
// auth.source = "backend" they are settings only.
func proxyUsers(cfg *conf.Config) map[string]*proxy.User {
	users := make(map[string]*proxy.User, len(cfg.Users))
	hashes := account.Hashes{}
	known := account.New(hashes, 0)
	for _, u := range cfg.Users {
		user := &proxy.User{
			Name: u.Name, MaxConnections: u.MaxConnections, Consistency: consistencyLevel(u.Consistency), Transport: transport(u.TLS),
		}
		if u.Plugin != "auto" {
			user.Plugin = u.Plugin
		}
		switch {
		case cfg.Auth.Source == "backend":
		case u.PasswordHash.Empty():
			user.Verifier = auth.NewPasswordVerifier(u.Password.Reveal())
		default:
			hashes[u.Name], _ = account.ParseHash(u.PasswordHash.Reveal()) // conf has checked it
			user.Hash = known
		}
		users[u.Name] = user
	}
	return users
}

// serverKeys returns the keys that servers are known to have.
func serverKeys(cfg *conf.Config) func(*backend.Server) *rsa.PublicKey {
	keys := make(map[string]*rsa.PublicKey, len(cfg.Backends))
	for _, b := range cfg.Backends {
		keys[b.Address], _ = auth.ParsePublicKey(b.PublicKeyPEM) // conf has checked it; nil if there is none
	}
	return func(s *backend.Server) *rsa.PublicKey { return keys[s.String()] }
}

// tellsClients reports whether any server is told where clients come from, so
// that its accounts may be another's for each.
func tellsClients(cfg *conf.Config) bool {
	return slices.ContainsFunc(cfg.Backends, func(b conf.Backend) bool { return b.ProxyProtocol })
}
