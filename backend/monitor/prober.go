package monitor

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire/proxyproto"
)

// connLife is how long a prober keeps its connection. A new one from time to
// time shows that logins still work, and follows a host name or a virtual
// address that has moved without breaking connections.
const connLife = 10 * time.Second

// SQLProber looks at a server through a connection of its own, which it keeps.
type SQLProber struct {
	server *backend.Server
	dialer *dialer
	life   time.Duration // connLife, except in tests

	conn    driver.Conn
	opened  time.Time
	account account
	dialect dialect
}

// account is what a connection was logged in with.
type account struct{ user, password string }

// NewSQLProber returns a prober for server. It does not connect yet.
func NewSQLProber(server *backend.Server) *SQLProber {
	return &SQLProber{server: server, dialer: newDialer(server.Network, server.Address), life: connLife}
}

// Close implements Prober.
func (p *SQLProber) Close() {
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
}

// Probe implements Prober.
func (p *SQLProber) Probe(ctx context.Context, cfg Config) Observation {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	now := time.Now()
	if p.conn != nil && (now.Sub(p.opened) > p.life || p.account != (account{cfg.Username, cfg.Password})) {
		p.Close()
	}
	if p.conn != nil {
		obs := p.ask(ctx)
		if obs.Failure == OK || obs.Failure == Privilege || obs.Failure == Timeout {
			return p.done(obs, now)
		}
		// The old connection was closed: a restart, KILL, wait_timeout. What a
		// new one meets is what counts.
		p.Close()
	}
	if err := p.connect(ctx, cfg); err != nil {
		return p.done(Observation{Failure: classify(ctx, err, p.dialer.last), Err: err}, now)
	}
	return p.done(p.ask(ctx), now)
}

// done stamps obs and drops a connection that is of no more use.
func (p *SQLProber) done(obs Observation, now time.Time) Observation {
	obs.At = now
	if obs.Failure != OK && obs.Failure != Privilege {
		p.Close()
	}
	if obs.Failure == Timeout {
		obs.Err = fmt.Errorf("no answer within %s", time.Since(now).Round(time.Millisecond))
	}
	return obs
}

// connect opens a connection and finds out what kind of server it is.
func (p *SQLProber) connect(ctx context.Context, cfg Config) error {
	c := mysql.NewConfig()
	c.User, c.Passwd = cfg.Username, cfg.Password
	c.Net, c.Addr = p.server.Network, p.server.Address
	c.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx, cfg) }
	c.Logger = &mysql.NopLogger{}
	c.ConnectionAttributes = "program_name:telamon-monitor"
	if cfg.Encryption != nil {
		e := cfg.Encryption(p.server)
		c.TLS, c.AllowFallbackToPlaintext = e.Config, e.Optional
	}
	if cfg.ServerKey != nil {
		if key := cfg.ServerKey(p.server); key != nil {
			c.ServerPubKey = "telamon " + p.server.String() // the driver knows keys by names only
			mysql.RegisterServerPubKey(c.ServerPubKey, key)
		}
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return encryptionFailure(err)
	}
	p.conn, p.opened, p.account = conn, time.Now(), account{cfg.Username, cfg.Password}
	row, err := p.row(ctx, "SELECT VERSION()")
	if err != nil {
		p.Close()
		return err
	}
	p.dialect = dialectOf(row.text(0))
	return nil
}

// dial opens a connection and announces it if the server expects that.
func (p *SQLProber) dial(ctx context.Context, cfg Config) (net.Conn, error) {
	nc, err := p.dialer.dial(ctx)
	if err != nil || cfg.ProxyProtocol == nil || !cfg.ProxyProtocol(p.server) {
		return nc, err
	}
	if _, err := nc.Write(proxyproto.Append(nil, netip.AddrPort{}, netip.AddrPort{})); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return nc, nil
}

// ask puts the questions to the open connection.
func (p *SQLProber) ask(ctx context.Context) Observation {
	var obs Observation
	row, err := p.row(ctx, p.dialect.identity)
	var server *mysql.MySQLError
	if errors.As(err, &server) && server.Number == 1193 { // ER_UNKNOWN_SYSTEM_VARIABLE
		p.dialect.identity = p.dialect.plain
		row, err = p.row(ctx, p.dialect.identity)
	}
	if err == nil {
		p.dialect.identify(&obs, row)
		if row.flag("wsrep_on") {
			obs.Galera, err = p.galera(ctx)
		}
	}
	if err != nil {
		return failed(ctx, obs, err, p.dialer.last)
	}
	rows, err := p.query(ctx, p.dialect.replication)
	if err != nil {
		return failed(ctx, obs, err, p.dialer.last)
	}
	for _, r := range rows {
		obs.Channels = append(obs.Channels, channelOf(r))
	}
	return obs
}

func failed(ctx context.Context, obs Observation, err error, c *watchedConn) Observation {
	obs.Failure, obs.Err = classify(ctx, err, c), err
	if obs.Failure == Privilege && !obs.Identified {
		obs.Failure = Auth // as good as no login
	}
	return obs
}

// galera reads the member's state. Asked only of servers with wsrep_on.
func (p *SQLProber) galera(ctx context.Context) (Galera, error) {
	rows, err := p.query(ctx, "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state')")
	g := Galera{Member: true}
	for _, r := range rows {
		switch r.text(0) {
		case "wsrep_ready":
			g.Ready = r.text(1) == "ON"
		case "wsrep_local_state":
			_, _ = fmt.Sscan(r.text(1), &g.State)
		}
	}
	return g, err
}

// row returns the single row of a query.
func (p *SQLProber) row(ctx context.Context, q string) (row, error) {
	rows, err := p.query(ctx, q)
	if err != nil {
		return row{}, err
	}
	if len(rows) != 1 {
		return row{}, fmt.Errorf("%s: %d rows, want 1", q, len(rows))
	}
	return rows[0], nil
}

// maxRows bounds what a server can make a prober read.
const maxRows = 1000

// query runs q and returns its rows.
func (p *SQLProber) query(ctx context.Context, q string) ([]row, error) {
	result, err := p.conn.(driver.QueryerContext).QueryContext(ctx, q, nil)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	names := result.Columns()
	var rows []row
	for len(rows) < maxRows {
		values := make([]driver.Value, len(names))
		switch err := result.Next(values); err {
		case nil:
			rows = append(rows, newRow(names, values))
		case io.EOF:
			return rows, nil
		default:
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: more than %d rows", q, maxRows)
}
