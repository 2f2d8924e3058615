package pool

import (
	"errors"
	"fmt"
	"time"

	"github.com/telamondb/telamon/wire"
)

// ErrUnclean is returned by Adopt when no sequence of commands brings the
// connection into the wanted state without losing what its owner has in it: it
// has to be closed and another one opened.
var ErrUnclean = errors.New("connection cannot be brought into the state wanted")

// trackedMySQL are the variables MySQL is asked to report when they change.
// Asking for all ("*") makes it report statement_id with every statement
// (measured, 9.7). Names a server version does not know are ignored with a
// warning. A SET of a variable that is not reported pins the session instead.
const trackedMySQL = "auto_increment_increment,auto_increment_offset,autocommit,big_tables,binlog_direct_non_transactional_updates," +
	"binlog_format,binlog_row_image,binlog_row_value_options,binlog_rows_query_log_events," +
	"binlog_transaction_compression,binlog_transaction_compression_level_zstd,block_encryption_mode," +
	"bulk_insert_buffer_size,character_set_client,character_set_connection,character_set_database," +
	"character_set_filesystem,character_set_results,character_set_server,collation_connection,collation_database," +
	"collation_server,completion_type,connection_memory_chunk_size,connection_memory_limit,cte_max_recursion_depth," +
	"default_collation_for_utf8mb4,default_storage_engine,default_table_encryption,default_tmp_storage_engine," +
	"default_week_format,div_precision_increment,enable_cascade_triggers,enable_secondary_engine_statistics," +
	"end_markers_in_json,eq_range_index_dive_limit,explain_format,explain_json_format_version," +
	"explicit_defaults_for_timestamp,external_table_secondary_storage_engine,external_table_storage_engine," +
	"foreign_key_checks,generated_random_password_length,global_connection_memory_tracking,group_concat_max_len," +
	"group_replication_consistency,gtid_next,histogram_generation_max_mem_size,immediate_server_version," +
	"information_schema_stats_expiry,innodb_ddl_buffer_size,innodb_ddl_threads,innodb_ft_enable_stopword," +
	"innodb_ft_user_stopword_table,innodb_lock_wait_timeout,innodb_parallel_read_threads,innodb_strict_mode," +
	"innodb_table_locks,innodb_tmpdir,insert_id,interactive_timeout,internal_tmp_mem_storage_engine,join_buffer_size," +
	"keep_files_on_create,last_insert_id,lc_messages,lc_time_names,lock_wait_timeout,long_query_time," +
	"low_priority_updates,max_allowed_packet,max_delayed_threads,max_error_count,max_execution_time," +
	"max_heap_table_size,max_insert_delayed_threads,max_join_size,max_length_for_sort_data,max_points_in_geometry," +
	"max_seeks_for_key,max_sort_length,max_sp_recursion_depth,min_examined_row_limit,myisam_repair_threads," +
	"myisam_sort_buffer_size,myisam_stats_method,net_buffer_length,net_read_timeout,net_retry_count," +
	"net_write_timeout,new,old_alter_table,optimizer_max_subgraph_pairs,optimizer_prune_level,optimizer_search_depth," +
	"optimizer_switch,optimizer_trace,optimizer_trace_features,optimizer_trace_limit,optimizer_trace_max_mem_size," +
	"optimizer_trace_offset,original_commit_timestamp,original_server_version,parser_max_mem_size," +
	"preload_buffer_size,print_identified_with_as_hex,profiling,profiling_history_size,pseudo_replica_mode," +
	"pseudo_slave_mode,pseudo_thread_id,query_alloc_block_size,query_prealloc_size,rand_seed1,rand_seed2," +
	"range_alloc_block_size,range_optimizer_max_mem_size,rbr_exec_mode,read_buffer_size,read_rnd_buffer_size," +
	"require_row_format,restrict_fk_on_non_standard_key,resultset_metadata,secondary_engine_cost_threshold," +
	"select_into_buffer_size,select_into_disk_sync,select_into_disk_sync_delay,set_operations_buffer_size," +
	"show_create_table_skip_secondary_engine,show_create_table_verbosity," +
	"show_gipk_in_create_table_and_information_schema,show_old_temporals,sort_buffer_size,sql_auto_is_null," +
	"sql_big_selects,sql_buffer_result,sql_generate_invisible_primary_key,sql_log_bin,sql_log_off,sql_mode,sql_notes," +
	"sql_quote_show_create,sql_require_primary_key,sql_safe_updates,sql_select_limit,sql_warnings," +
	"terminology_use_previous,time_zone,timestamp,tmp_table_size,transaction_alloc_block_size," +
	"transaction_allow_batching,transaction_isolation,transaction_prealloc_size,transaction_read_only,tx_isolation," +
	"tx_read_only,unique_checks,updatable_views_with_limit,use_secondary_engine,wait_timeout," +
	"windowing_use_high_precision,xa_detach_on_prepare"

// trackingSQL returns the statement that makes a server report changes of
// session state. It is sent after every login and reset, and again when a
// client has changed these settings. Assigning sql_mode to itself makes the
// server report it at once (measured on both flavours): how the session's
// statements have to be read depends on it.
func (c *Conn) trackingSQL() string {
	switch {
	case c.PartialReports:
		return "SET SESSION session_track_system_variables='" + trackedPartially + "',session_track_schema=1," +
			"session_track_state_change=1,sql_mode=@@session.sql_mode"
	case c.mariadb:
		return "SET SESSION session_track_system_variables='*',session_track_schema=1," +
			"session_track_state_change=0,sql_mode=@@session.sql_mode"
	}
	return "SET SESSION session_track_system_variables='" + trackedMySQL + "',session_track_schema=1," +
		"session_track_state_change=0,session_track_transaction_info='OFF',session_track_gtids=OWN_GTID,sql_mode=@@session.sql_mode"
}

// queueClear queues what clears the warnings of Telamon's own statements, such as
// those about variables that this version of MySQL does not have: clients ask for
// warnings before they have run anything. It returns the number of commands.
// MariaDB has nothing to warn of there, and keeps warnings through a DO.
func (c *Conn) queueClear() int {
	if c.mariadb {
		return 0
	}
	c.queue(wire.ComQuery, "DO 0")
	return 1
}

// MariaDB reports whether the server is of that flavour.
func (c *Conn) MariaDB() bool { return c.mariadb }

// establish brings the connection into the state that the session owner wants,
// leaving nothing of another owner. All commands go out in one write. An error
// other than ErrUnclean leaves the connection unusable.
// reset says that it had to start from a fresh state.
func (c *Conn) establish(owner uint64, want *Profile, timeout time.Duration) (reset bool, err error) {
	same := c.owner == owner
	if c.Profile == want && (same || c.Dirt == Clean && len(c.Statements) == 0) {
		c.owner = owner
		return false, nil
	}
	if c.Dirt == MustClose && !same {
		return false, ErrUnclean
	}
	reset = !same && (c.Dirt != Clean || len(c.Statements) > 0)
	have := c.Profile
	if reset || !extends(have, want) {
		reset = true
		// A reset keeps the schema (measured on both flavours); only
		// COM_CHANGE_USER could leave it. It goes back to the character set
		// of the login, but on MySQL 9.7 not to its collation: that becomes
		// the server's default for the character set. So it counts as unknown.
		have = &Profile{Schema: c.Profile.Schema}
		if same && (c.Dirt != Clean || len(c.Statements) > 0) || !extends(have, want) && have.Schema != "" && want.Schema == "" {
			return false, ErrUnclean
		}
	}
	if reset && c.mariadb && c.Login.Flags.Has(wire.IgnoreSpace) {
		return false, ErrUnclean // MariaDB forgets that part of the login (measured, 10.11)
	}
	n := 0
	if reset {
		c.queue(wire.ComResetConnection, "")
		c.queue(wire.ComQuery, c.trackingSQL())
		n += 2
	}
	if have.Collation != want.Collation && !setsCharset(want) {
		c.queue(wire.ComQuery, wire.SetNames(want.Collation, c.mariadb))
		n++
	}
	if set := appendSet(nil, have, want); len(set) > 0 {
		c.queue(wire.ComQuery, string(set))
		n++
	}
	// A reset keeps the schema, but character_set_database and
	// collation_database become the server's (measured on both flavours): LOAD
	// DATA would read files in another character set.
	again := reset && want.Schema != "" && have.Schema == want.Schema
	if again || have.Schema != want.Schema {
		c.queue(wire.ComInitDB, want.Schema)
		n++
	}
	if n > 0 {
		n += c.queueClear()
		c.setDeadline(time.Now().Add(timeout))
		if err := c.exchange(n); err != nil && !(again && isDropped(err)) {
			return reset, fmt.Errorf("preparing a connection to %s: %w", c.Server, err)
		}
		c.setDeadline(time.Time{})
	}
	if reset {
		clear(c.Statements)
		c.Dirt, c.packetLimit = Clean, 0
	}
	c.Profile, c.owner = want, owner
	return reset, nil
}

// isDropped reports whether err says that the schema is not there (1049) or not
// for this user any more (1044), and nothing else. A session that had selected it
// before keeps its name, and so does its connection.
func isDropped(err error) bool {
	e, ok := errors.AsType[*wire.Err](err)
	return ok && (e.Code == 1049 || e.Code == 1044) && err.Error() == e.Error()
}

// Adopt brings the owner's own connection up to date with its profile. After
// an error the connection must be discarded.
func (c *Conn) Adopt(profile *Profile) error {
	_, err := c.establish(c.owner, profile, c.pool.dialer.Load().Timeout)
	return err
}
