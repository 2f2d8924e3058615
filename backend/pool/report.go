package pool

import (
	"strings"

	"github.com/telamondb/telamon/wire"
)

// probeSQL goes with the tracking statement right after a login. It assigns two
// variables to themselves that MariaDB keeps in the same word. From 11.1 on
// (MDEV-31746) its tracker takes all that are there for one, and reports what is
// set under the name, and with the value, of the one that was set first: SET
// foreign_key_checks=0 is unique_checks=ON then. InnoDB's variables are not
// reported at all (measured, 11.8).
const probeSQL = ",unique_checks=@@session.unique_checks,foreign_key_checks=@@session.foreign_key_checks"

// trackedPartially are the variables that such a server is asked to report: those
// that are set often, and of each word one. Every version has to have all of
// them: MariaDB refuses a list with a name it does not know.
const trackedPartially = "autocommit,character_set_client,character_set_connection,character_set_results," +
	"group_concat_max_len,interactive_timeout,last_gtid,lock_wait_timeout,max_statement_time,session_track_schema," +
	"session_track_state_change,session_track_system_variables,session_track_transaction_info,sql_mode,sql_select_limit," +
	"time_zone,transaction_isolation,transaction_read_only,wait_timeout"

// noteReports keeps what the tracking statement makes a server report.
func (c *Conn) noteReports(changes []byte) {
	for ch := wire.NewChanges(changes); ch.Next(); {
		v := ch.Change()
		if v.Type != wire.ChangeSystemVariable {
			continue
		}
		switch string(v.Name) {
		case "sql_mode":
			if !c.modeKnown {
				c.BaseMode, c.modeKnown = string(v.Value), true
			}
		case "unique_checks", "foreign_key_checks":
			c.probed++
		}
	}
}

// trustReports finds out, from what the server has reported of probeSQL, whether
// it tells variables apart, and asks one that does not for less.
func (c *Conn) trustReports() error {
	if c.probed != 1 {
		return nil
	}
	c.PartialReports = true
	c.queue(wire.ComQuery, c.trackingSQL())
	return c.exchange(1)
}

// Report has the server report session variables by assigning them to
// themselves, or reads them from one that cannot; changes is told, in the form
// of a report, what they are. With retrack the client has
// touched the settings of the reporting, which are established again first,
// along with those of them that are part of a profile. Errors are as for Query.
func (c *Conn) Report(retrack *Profile, names []string, changes func([]byte)) error {
	n := 0
	if retrack != nil {
		set := []byte(c.trackingSQL())
		for _, v := range retrack.Vars {
			if strings.HasPrefix(v.Name, "session_track_") {
				set = append(append(append(set, ','), v.Name...), '=')
				set = appendValue(set, v)
			}
		}
		c.queue(wire.ComQuery, string(set))
		n++
	}
	if len(names) > 0 && !c.PartialReports {
		sql := "SET "
		for i, name := range names {
			if i > 0 {
				sql += ","
			}
			sql += name + "=@@session." + name
		}
		c.queue(wire.ComQuery, sql)
		n++
	}
	n += c.queueClear()
	c.reports = changes
	defer func() { c.reports = nil }()
	err := c.bounded(func() error { return c.exchange(n) })
	if err != nil || len(names) == 0 || !c.PartialReports {
		return err
	}
	block, err := c.readVariables(names)
	if err == nil {
		changes(block)
	}
	return err
}

// readVariables returns session variables in the form of a report, but for switches,
// which are 0 or 1.
func (c *Conn) readVariables(names []string) (block []byte, err error) {
	r, err := c.Ask("SELECT @@session." + strings.Join(names, ",@@session."))
	if err != nil {
		return nil, err
	}
	row, err := r.First()
	if err != nil {
		return nil, err
	}
	for i, value := range row {
		block = wire.AppendVariableChange(block, names[i], value)
	}
	return block, nil
}
