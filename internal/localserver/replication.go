package localserver

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// waitTimeout bounds WaitFor when the context has no deadline.
const waitTimeout = 60 * time.Second

// resetGTIDs makes the server forget every transaction it has logged or applied:
// what its own bootstrap wrote must not count.
func (s *Server) resetGTIDs(ctx context.Context) error {
	if s.opts.Flavour == MySQL {
		return s.Exec(ctx, "RESET BINARY LOGS AND GTIDS")
	}
	return s.Exec(ctx, "RESET MASTER", "SET GLOBAL gtid_slave_pos=''")
}

// Follow makes the server a read-only replica of source, forgetting what it had
// replicated before.
func (s *Server) Follow(ctx context.Context, source *Server) error {
	s.setReplica(true)
	if s.opts.Flavour == MySQL {
		return s.Exec(ctx,
			"STOP REPLICA",
			"SET GLOBAL super_read_only=0",
			"RESET BINARY LOGS AND GTIDS",
			fmt.Sprintf("CHANGE REPLICATION SOURCE TO source_host='127.0.0.1', source_port=%d, source_user='%s', source_password='%s', "+
				"source_auto_position=1, get_source_public_key=1, source_connect_retry=1, source_retry_count=86400", source.Port(), replUser, replPassword),
			"START REPLICA",
			"SET GLOBAL super_read_only=1",
		)
	}
	revoke := fmt.Sprintf("REVOKE READ_ONLY ADMIN ON *.* FROM %[1]s@'%%', %[1]s@localhost", DBAUser)
	return s.Exec(ctx,
		"STOP SLAVE",
		"RESET MASTER",
		"SET GLOBAL gtid_slave_pos=''",
		"SET sql_log_bin=0", revoke, "SET sql_log_bin=1",
		fmt.Sprintf("CHANGE MASTER TO master_host='127.0.0.1', master_port=%d, master_user='%s', master_password='%s', "+
			"master_use_gtid=slave_pos, master_connect_retry=1", source.Port(), replUser, replPassword),
		"SET GLOBAL read_only=1",
		"START SLAVE",
	)
}

// Position is the GTID set of everything the server has in its binary log.
func (s *Server) Position(ctx context.Context) (string, error) {
	if s.opts.Flavour == MySQL {
		return s.Value(ctx, "SELECT @@GLOBAL.gtid_executed")
	}
	return s.Value(ctx, "SELECT @@GLOBAL.gtid_binlog_pos")
}

// WaitFor returns when the replica has applied position, a Position of its
// primary of the same flavour.
func (s *Server) WaitFor(ctx context.Context, position string) error {
	timeout := waitTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = time.Until(deadline)
	}
	query := "SELECT MASTER_GTID_WAIT(?, ?)" // 0 = applied, -1 = timeout
	if s.opts.Flavour == MySQL {
		query = "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, ?)" // 0 = applied, 1 = timeout
	}
	// Never 0 or negative: that is "for ever" on one flavour or the other.
	seconds := max(timeout, time.Millisecond).Seconds()
	var result sql.NullInt64
	if err := s.db.QueryRowContext(ctx, query, position, seconds).Scan(&result); err != nil {
		return fmt.Errorf("%s: wait for %s: %w", s, position, err)
	}
	if !result.Valid || result.Int64 != 0 {
		own, err := s.Position(ctx)
		return fmt.Errorf("%s has not applied %s within %v (it has %s, %v)", s, position, timeout, own, err)
	}
	return nil
}

// StopSQLThread stops applying; the replica still receives.
func (s *Server) StopSQLThread(ctx context.Context) error {
	return s.Exec(ctx, s.replicationCommand("STOP")+" SQL_THREAD")
}

// StartIOThread receives from the primary, also when nothing is applied.
func (s *Server) StartIOThread(ctx context.Context) error {
	return s.Exec(ctx, s.replicationCommand("START")+" IO_THREAD")
}

// SkipReplicationStart is the option for Start that keeps a replica from
// replicating.
func (s *Server) SkipReplicationStart() string { return skipReplicationStart(s.opts.Flavour) }

// StartSQLThread applies again.
func (s *Server) StartSQLThread(ctx context.Context) error {
	return s.Exec(ctx, s.replicationCommand("START")+" SQL_THREAD")
}

func (s *Server) replicationCommand(verb string) string {
	if s.opts.Flavour == MySQL {
		return verb + " REPLICA"
	}
	return verb + " SLAVE"
}

// CheckReplication is nil when both replication threads of a replica run. A
// write that went to a replica by mistake breaks the SQL thread sooner or later.
func (s *Server) CheckReplication(ctx context.Context) error {
	rows, err := s.Query(ctx, s.replicationCommand("SHOW")+" STATUS")
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return fmt.Errorf("%s replicates from nobody", s)
	}
	status := rows[0]
	for _, names := range [][2]string{{"Slave_IO_Running", "Replica_IO_Running"}, {"Slave_SQL_Running", "Replica_SQL_Running"}} {
		running := status[names[0]] + status[names[1]]
		if running != "Yes" {
			return fmt.Errorf("%s: %s is %q; IO error: %q; SQL error: %q", s, names[0], running, status["Last_IO_Error"], status["Last_SQL_Error"])
		}
	}
	return nil
}
