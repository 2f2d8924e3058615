package monitor

import (
	"database/sql/driver"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/telamondb/telamon/backend"
)

// dialect is what to ask a server of one flavour and version.
type dialect struct {
	flavor      backend.Flavor
	version     string
	identity    string // one row with the columns identify reads
	plain       string // the same, but only what every server has
	replication string // one row per channel
}

// dialectOf chooses by the result of VERSION().
//
// SHOW REPLICA STATUS came with MySQL 8.0.22, SHOW SLAVE STATUS went with 8.4
// (error 1064). MariaDB lists all its connections with SHOW ALL SLAVES STATUS
// only. The plain statement is for builds and relatives without Galera, GTIDs,
// super_read_only or server_uuid.
//
// The GTIDs of a server are of use only if it goes on: MySQL keeps gtid_executed
// when gtid_mode goes back to OFF, and writes without GTIDs from then on, as
// either flavour does without a binary log (measured, 9.7 and 10.11).
func dialectOf(version string) dialect {
	d := dialect{flavor: backend.MySQL, version: version}
	if strings.Contains(strings.ToLower(version), "mariadb") {
		d.flavor = backend.MariaDB
		d.plain = "SELECT @@server_id AS server_id, @@GLOBAL.read_only AS read_only, " + backend.IdentitySQL(d.flavor) + " AS identity"
		d.identity = d.plain + ", IF(@@GLOBAL.log_bin, @@GLOBAL.gtid_current_pos, '') AS gtid, @@GLOBAL.wsrep_on AS wsrep_on"
		d.replication = "SHOW ALL SLAVES STATUS"
		return d
	}
	d.plain = "SELECT @@server_id AS server_id, @@GLOBAL.read_only AS read_only"
	d.identity = d.plain + ", " + backend.IdentitySQL(d.flavor) + " AS identity, @@server_uuid AS uuid, @@GLOBAL.super_read_only AS super_read_only," +
		" IF(@@GLOBAL.log_bin AND @@GLOBAL.gtid_mode IN ('ON', 'ON_PERMISSIVE'), @@GLOBAL.gtid_executed, '') AS gtid"
	d.replication = "SHOW REPLICA STATUS"
	if before(version, 8, 0, 22) {
		d.replication = "SHOW SLAVE STATUS"
	}
	return d
}

// before reports whether version is certainly lower than the three numbers.
func before(version string, want ...int) bool {
	for _, w := range want {
		i := 0
		for i < len(version) && version[i] >= '0' && version[i] <= '9' {
			i++
		}
		n, err := strconv.Atoi(version[:i])
		if err != nil {
			return false
		}
		if n != w {
			return n < w
		}
		version = strings.TrimPrefix(version[i:], ".")
	}
	return false
}

// identify fills obs from a row of the identity statement.
func (d *dialect) identify(obs *Observation, r row) {
	obs.Identified = true
	obs.Flavor, obs.Version = d.flavor, d.version
	obs.ServerID = uint32(r.number("server_id"))
	obs.UUID = r.named("uuid")
	obs.Identity = r.named("identity")
	obs.ReadOnly = r.flag("read_only")
	obs.SuperReadOnly = r.flag("super_read_only")
	// MySQL breaks long sets into lines.
	obs.GTID = strings.ReplaceAll(r.named("gtid"), "\n", "")
}

// channelOf reads a row of the replication statement, in the words of either
// age and flavour.
func channelOf(r row) Channel {
	ch := Channel{
		Name: r.named("Channel_Name", "Connection_name"),
		Source: backend.Source{
			Address: net.JoinHostPort(r.named("Source_Host", "Master_Host"), r.named("Source_Port", "Master_Port")),
			ID:      uint32(r.number("Source_Server_Id", "Master_Server_Id")),
			UUID:    r.named("Source_UUID", "Master_UUID"),
		},
		IO:  r.named("Replica_IO_Running", "Slave_IO_Running"),
		SQL: r.named("Replica_SQL_Running", "Slave_SQL_Running") == "Yes",
		Received: LogPos{
			File: r.named("Source_Log_File", "Master_Log_File"),
			Pos:  r.number("Read_Source_Log_Pos", "Read_Master_Log_Pos"),
		},
		Executed: LogPos{
			File: r.named("Relay_Source_Log_File", "Relay_Master_Log_File"),
			Pos:  r.number("Exec_Source_Log_Pos", "Exec_Master_Log_Pos"),
		},
		LastError: r.named("Last_SQL_Error"),
		IOErrno:   uint16(r.number("Last_IO_Errno")),
	}
	if ch.LastError == "" {
		ch.LastError = r.named("Last_IO_Error")
	}
	if lag, err := strconv.ParseUint(r.named("Seconds_Behind_Source", "Seconds_Behind_Master"), 10, 31); err == nil {
		ch.Lag, ch.LagKnown = time.Duration(lag)*time.Second, true
	}
	return ch
}

// row is one row of a text result. NULL and missing columns read as "".
type row struct {
	names  []string
	values []driver.Value
}

func newRow(names []string, values []driver.Value) row {
	for i, v := range values {
		if b, ok := v.([]byte); ok {
			values[i] = string(b) // the driver's buffer is reused
		}
	}
	return row{names, values}
}

// text returns column i as the server wrote it.
func (r row) text(i int) string {
	if r.values[i] == nil {
		return ""
	}
	return fmt.Sprint(r.values[i])
}

// named returns the first column that exists of the given names.
func (r row) named(names ...string) string {
	for _, want := range names {
		for i, name := range r.names {
			if strings.EqualFold(name, want) {
				return r.text(i)
			}
		}
	}
	return ""
}

// number is named as a number, 0 if it is none.
func (r row) number(names ...string) uint64 {
	n, _ := strconv.ParseUint(r.named(names...), 10, 64)
	return n
}

// flag is named as a switch.
func (r row) flag(name string) bool {
	switch strings.ToUpper(r.named(name)) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}
