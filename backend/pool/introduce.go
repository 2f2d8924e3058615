package pool

import (
	"strings"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
)

// introduction is what the server of a connection has said about itself; empty
// where it has no such variable.
type introduction struct {
	identity  string // see backend.IdentitySQL
	isolation string // of transactions, when the connection began
}

// introduce sends what a connection is asked right after the login, in one
// piece: to report changes of session state, which server it is, and under
// which isolation its transactions run.
func (c *Conn) introduce() error {
	tracking := c.trackingSQL()
	if c.mariadb {
		tracking += probeSQL
	}
	c.queue(wire.ComQuery, tracking)
	c.queue(wire.ComQuery, introductionSQL(c.mariadb))
	if err := c.exchange(1); err != nil {
		return err
	}
	row, err := c.readRow()
	switch {
	case isServerError(err): // a relative that lacks one of the variables
		return c.trustReports()
	case err != nil:
		return err
	case len(row) == 2:
		c.identity, c.isolation = row[0], row[1]
	}
	if err := c.trustReports(); err != nil {
		return err
	}
	return c.checkIdentity()
}

// introductionSQL names the isolation as every version does: MariaDB has
// transaction_isolation from 11.1 on, MySQL 8.0 has no tx_isolation.
func introductionSQL(mariadb bool) string {
	if mariadb {
		return "SELECT " + backend.IdentitySQL(backend.MariaDB) + ",@@session.tx_isolation"
	}
	return "SELECT " + backend.IdentitySQL(backend.MySQL) + ",@@session.transaction_isolation"
}

// checkIdentity refuses a connection to another server than the one that the
// monitor has looked at. Either may be unknown.
func (c *Conn) checkIdentity() error {
	if known := c.Server.Identity(); known != "" && c.identity != "" && known != c.identity {
		return backend.ErrOtherServer // clients are told, so without names
	}
	return nil
}

// KeepsSnapshot reports whether a transaction goes on seeing what it saw at its
// first read: not with READ COMMITTED and below.
func (c *Conn) KeepsSnapshot() bool {
	level := c.isolation
	for _, name := range [...]string{"transaction_isolation", "tx_isolation"} {
		if v, ok := c.Profile.Value(name); ok {
			level = v
		}
	}
	return !strings.HasPrefix(level, "READ-")
}

// Position returns the GTIDs of everything the server has committed and passes
// on to replicas. Errors are as for Query.
func (c *Conn) Position() (string, error) {
	name := "gtid_executed"
	if c.mariadb {
		name = "gtid_binlog_pos"
	}
	return c.QueryValue("SELECT @@GLOBAL." + name)
}
