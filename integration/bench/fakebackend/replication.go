package fakebackend

import (
	"fmt"
	"strconv"
	"strings"
)

// ReplicaStatus is the part of the replication status that a monitor judges by.
type ReplicaStatus struct {
	IORunning  string // "Yes", "No" or "Connecting"
	SQLRunning string // "Yes" or "No"
	// LagSeconds is Seconds_Behind_Source; negative means NULL.
	LagSeconds int
	// Writable makes @@read_only 0 although the server replicates.
	Writable bool
	// AppliedTo, when set, is the number of commits applied; otherwise the
	// replica has applied all of its source's.
	AppliedTo *uint64
}

func (r *ReplicaStatus) readOnly() bool { return r != nil && !r.Writable }

// serverUUID is the source of all GTIDs: the UUID of the server with id 1.
const serverUUID = "11111111-2222-3333-4444-555555555555"

// uuid differs between servers as their ids do, up to 100 of them.
func (s *Server) uuid() string {
	return fmt.Sprintf("%s%02d", serverUUID[:len(serverUUID)-2], (54+s.opt.ServerID)%100)
}

// gtid names the n-th commit.
func (s *Server) gtid(n uint64) string {
	number := strconv.FormatUint(n, 10)
	if s.opt.Flavour == MariaDB {
		return "0-1-" + number
	}
	return serverUUID + ":" + number
}

// executed is the set of all commits the server has applied.
func (s *Server) executed() string {
	n := s.applied()
	if n == 0 {
		return ""
	}
	if s.opt.Flavour == MySQL && n > 1 {
		return serverUUID + ":1-" + strconv.FormatUint(n, 10)
	}
	return s.gtid(n)
}

func (s *Server) applied() uint64 {
	r := s.replica.Load()
	switch {
	case r != nil && r.AppliedTo != nil:
		return *r.AppliedTo
	case s.opt.Source != nil:
		return s.opt.Source.applied()
	}
	return s.commits.Load()
}

func (s *Server) version() string {
	switch {
	case s.opt.Version != "":
		return s.opt.Version
	case s.opt.Flavour == MariaDB:
		return "10.11.6-MariaDB-log"
	}
	return "8.4.3"
}

// variableNames are the system variables the server knows, in the order SHOW
// VARIABLES lists them.
var variableNames = []string{
	"auto_increment_increment", "autocommit", "character_set_client", "character_set_connection",
	"character_set_database", "character_set_results", "character_set_server", "collation_connection",
	"collation_database", "collation_server", "datadir", "gtid_binlog_pos", "gtid_current_pos", "gtid_executed",
	"gtid_mode", "gtid_slave_pos", "hostname", "init_connect", "interactive_timeout", "last_gtid",
	"license", "lower_case_table_names", "max_allowed_packet", "max_connections", "net_write_timeout",
	"offline_mode", "performance_schema", "port", "read_only", "server_id", "server_uuid",
	"session_track_gtids", "session_track_system_variables", "sql_mode", "super_read_only",
	"system_time_zone", "time_zone", "transaction_isolation", "transaction_read_only", "tx_isolation",
	"tx_read_only", "version", "version_comment", "wait_timeout", "wsrep_on",
}

// variable returns a system variable as a text.
func (s *Server) variable(name string) (string, bool) {
	switch name {
	case "read_only", "super_read_only":
		if s.replica.Load().readOnly() {
			return "1", true
		}
		return "0", true
	case "version":
		return s.version(), true
	case "version_comment":
		return "fake backend", true
	case "server_id":
		return strconv.FormatUint(uint64(s.opt.ServerID), 10), true
	case "server_uuid":
		return s.uuid(), true
	case "gtid_executed", "gtid_current_pos", "gtid_slave_pos", "gtid_binlog_pos":
		return s.executed(), true
	case "port":
		_, port := splitHostPort(s.Addr())
		return port, true
	}
	if strings.HasPrefix(name, "character_set_") {
		return "utf8mb4", true
	}
	if strings.HasPrefix(name, "collation_") {
		return "utf8mb4_general_ci", true
	}
	v, ok := constantVariables[name]
	return v, ok
}

var constantVariables = map[string]string{
	"auto_increment_increment": "1", "autocommit": "1", "gtid_mode": "ON", "hostname": "fake",
	"init_connect": "", "interactive_timeout": "28800", "last_gtid": "", "license": "GPL",
	"lower_case_table_names": "0", "max_allowed_packet": "67108864", "max_connections": "100000",
	"net_write_timeout": "60", "offline_mode": "0", "performance_schema": "0", "session_track_gtids": "OFF",
	"session_track_system_variables": trackedByDefault,
	"sql_mode":                       "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
	"system_time_zone":               "UTC", "time_zone": "SYSTEM", "transaction_isolation": "REPEATABLE-READ",
	"transaction_read_only": "0", "tx_isolation": "REPEATABLE-READ", "tx_read_only": "0", "wait_timeout": "28800",
	"datadir": "/fake/", "wsrep_on": "0",
}

// showReplica answers SHOW REPLICA STATUS and its older and MariaDB's names.
func (c *session) showReplica(what string, binary bool) {
	s, r := c.server, c.server.replica.Load()
	source, replica := "Source", "Replica"
	if strings.Contains(what, "SLAVE") || s.opt.Flavour == MariaDB {
		source, replica = "Master", "Slave"
	}
	var host, port string
	of := &Server{opt: Options{ServerID: 1}}
	if s.opt.Source != nil {
		of = s.opt.Source
		host, port = splitHostPort(of.Addr())
	}
	var names []string
	var row []value
	add := func(name, v string) { names, row = append(names, name), append(row, value{text: v}) }
	if r == nil {
		r = &ReplicaStatus{}
	}
	if strings.HasPrefix(what, "ALL") {
		add("Connection_name", "")
	}
	add(replica+"_IO_State", "Waiting for source to send event")
	add(source+"_Host", host)
	add(source+"_User", "repl")
	add(source+"_Port", port)
	add(source+"_Log_File", "bin.000001")
	add("Read_"+source+"_Log_Pos", "4")
	add("Relay_"+source+"_Log_File", "bin.000001")
	add(replica+"_IO_Running", r.IORunning)
	add(replica+"_SQL_Running", r.SQLRunning)
	add("Last_Errno", "0")
	add("Last_Error", "")
	add("Exec_"+source+"_Log_Pos", "4")
	add("Seconds_Behind_"+source, strconv.Itoa(r.LagSeconds))
	row[len(row)-1].null = r.LagSeconds < 0
	add("Last_IO_Errno", "0")
	add("Last_IO_Error", "")
	add("Last_SQL_Errno", "0")
	add("Last_SQL_Error", "")
	add(source+"_Server_Id", strconv.FormatUint(uint64(of.opt.ServerID), 10))
	add("SQL_Delay", "0")
	if s.opt.Flavour == MariaDB {
		add("Using_Gtid", "Slave_Pos")
		add("Gtid_IO_Pos", s.executed())
	} else {
		add(source+"_UUID", of.uuid())
		add("Retrieved_Gtid_Set", s.executed())
		add("Executed_Gtid_Set", s.executed())
		add("Auto_Position", "1")
		add("Channel_Name", "")
	}
	rows := [][]value{row}
	if s.replica.Load() == nil {
		rows = nil
	}
	c.rows(names, rows, binary)
}
