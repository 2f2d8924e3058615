//go:build integration

package integration

import (
	"slices"
	"testing"
)

// initSequences are what clients and frameworks send when they have logged in,
// as the versions named do; those that were at hand were watched in a server's
// general log. "!prepare"d ones are sent so by the clients.
var initSequences = []struct {
	who, only string
	sends     []string
}{
	{who: "mysql client", sends: []string{"select @@version_comment limit 1", "select USER()"}},
	{who: "MariaDB Connector/J 2.7.6 (watched)", sends: []string{
		"set autocommit=1, sql_mode = concat(@@sql_mode,',STRICT_TRANS_TABLES')",
		"SELECT @@max_allowed_packet,@@system_time_zone,@@time_zone,@@auto_increment_increment",
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "!init app", "set @@SQL_SELECT_LIMIT=5", "set @@SQL_SELECT_LIMIT=DEFAULT",
	}},
	{who: "MariaDB Connector/J 2.7 with session tracking", sends: []string{
		"set autocommit=1, session_track_schema=1, session_track_system_variables='auto_increment_increment', sql_mode = concat(@@sql_mode,',STRICT_TRANS_TABLES')",
		"SELECT @@max_allowed_packet,@@system_time_zone,@@time_zone,@@auto_increment_increment",
	}},
	{who: "MariaDB Connector/J 3", sends: []string{
		"set session_track_schema=1,session_track_system_variables= CONCAT(@@global.session_track_system_variables,',auto_increment_increment')," +
			"autocommit=1,sql_mode=CONCAT(@@sql_mode,',STRICT_TRANS_TABLES')",
	}},
	{who: "MariaDB Connector/ODBC", only: "MariaDB", sends: []string{
		"SET session_track_system_variables='last_gtid'", "SET NAMES utf8mb4", "SET autocommit=1",
	}},
	{who: "MySQL Connector/J 8", only: "MySQL", sends: []string{
		"/* mysql-connector-j-8.4.0 (Revision: 0) */SELECT  @@session.auto_increment_increment AS auto_increment_increment, " +
			"@@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, " +
			"@@character_set_results AS character_set_results, @@character_set_server AS character_set_server, " +
			"@@collation_server AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS init_connect, " +
			"@@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS lower_case_table_names, " +
			"@@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, " +
			"@@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, " +
			"@@transaction_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout",
		"SET NAMES utf8mb4", "SET character_set_results = NULL", "SET autocommit=1", "SET sql_mode='STRICT_TRANS_TABLES'",
	}},
	{who: "HikariCP and Hibernate behind a JDBC driver", sends: []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ WRITE",
		"SET autocommit=0", "COMMIT", "SET autocommit=1", "!ping",
	}},
	{who: "PyMySQL without autocommit, until it has it", sends: []string{"SET AUTOCOMMIT = 0", "SELECT v FROM a", "COMMIT", "SET AUTOCOMMIT = 1"}},
	{who: "PyMySQL", sends: []string{"SET NAMES utf8mb4", "SET sql_mode='STRICT_TRANS_TABLES'", "SET AUTOCOMMIT = 1"}},
	{who: "PyMySQL 1.1 with a collation", sends: []string{"SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci", "SET AUTOCOMMIT = 1"}},
	{who: "mysqlclient", sends: []string{"SET NAMES utf8mb4", "SET SESSION sql_mode='STRICT_TRANS_TABLES'", "SET autocommit=1"}},
	{who: "Django", sends: []string{
		"!multi on", "SET NAMES utf8mb4", "SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL",
		"SET SQL_AUTO_IS_NULL = 0; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET autocommit=1",
	}},
	{who: "SQLAlchemy", sends: []string{
		"SET NAMES utf8mb4", "SET AUTOCOMMIT = 0", "SELECT DATABASE()", "SELECT @@sql_mode", "SELECT @@lower_case_table_names",
		"SELECT CAST('test plain returns' AS CHAR(60)) AS anon_1", "ROLLBACK", "SET AUTOCOMMIT = 1",
	}},
	{who: "DBD::mysql", sends: []string{"SET NAMES utf8mb4", "set autocommit=1"}},
	{who: "mysql2 and mariadb of Node.js", sends: []string{
		"SET NAMES utf8mb4", "SET time_zone='+00:00'", "SET SESSION wait_timeout=600, sql_mode='ANSI_QUOTES'", "select 1",
	}},
	{who: "go-sql-driver", sends: []string{
		"SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci", "SELECT @@max_allowed_packet", "SET time_zone='+00:00',sql_mode='TRADITIONAL'", "!ping", "!reset",
	}},
	{who: "MySqlConnector of .NET", sends: []string{"!multi on", "SELECT CONNECTION_ID(), VERSION(); SET NAMES utf8mb4;", "SET NAMES utf8mb4;", "!reset", "SET NAMES utf8mb4;"}},
	{who: "PDO and mysqli", sends: []string{"SET NAMES 'utf8mb4'", "SET autocommit=1", "SET NAMES utf8"}},
	{who: "Laravel", sends: []string{
		"use `app`;", "!prepare names set names 'utf8mb4' collate 'utf8mb4_unicode_ci'", "!execute names",
		"!prepare zone set time_zone='+00:00'", "!execute zone",
		"!prepare mode set session sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'", "!execute mode",
	}},
	{who: "Laravel 11", sends: []string{
		"use `app`;", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;",
		"SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci', time_zone='+00:00', SESSION sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES';",
	}},
	{who: "Rails", sends: []string{
		"SET NAMES utf8mb4,  @@SESSION.sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'),  @@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483",
		"SELECT @@max_allowed_packet",
	}},
	{who: "WordPress", sends: []string{
		"SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_520_ci'", "SELECT @@SESSION.sql_mode", "SET SESSION sql_mode='NO_ZERO_IN_DATE'", "!init app",
	}},
	{who: "an application that names its user", sends: []string{"SET @current_user_id = 42, @tenant = 'acme'"}},
	{who: "many at once", sends: []string{
		"SET NAMES utf8mb4, autocommit=1, sql_mode=concat(@@sql_mode,',STRICT_TRANS_TABLES')", "SET character_set_results = NULL",
		"SET foreign_key_checks=1, unique_checks=1, group_concat_max_len=100000", "SET lock_wait_timeout=10, innodb_lock_wait_timeout=10",
	}},
}

// autocommitOff is PyMySQL's and others' default: every statement begins a
// transaction, on the primary, but between transactions nothing is held.
var autocommitOff = []tale{
	{name: "S25 without autocommit nothing is held between transactions", acts: []act{
		{who: "A", do: "SET NAMES utf8mb4"},
		{who: "A", do: "SET AUTOCOMMIT = 0"},
		{who: "B", do: otherUser},
		{who: "A", do: shadowed + " FOR UPDATE", on: onPrimary, want: "10"},
		{who: "B", do: otherUser, errno: 1040},
		{who: "A", do: "UPDATE a SET v = 11 WHERE id = 1"},
		{who: "A", do: "ROLLBACK"},
		{who: "B", do: otherUser},
		{who: "A", do: "UPDATE a SET v = 12 WHERE id = 1", on: onPrimary},
		{who: "A", do: "ROLLBACK"},
		{who: "B", do: "SELECT v FROM a WHERE id = 1 FOR UPDATE", want: "10"},
		{who: "A", do: "SELECT @@autocommit", want: "0"},
		{who: "A", do: "SET AUTOCOMMIT = 1"},
		{who: "B", do: "SELECT @@autocommit FOR UPDATE", want: "1"},
		{who: "A", do: shadowed, on: onReplica, want: "10"},
	}},
	{name: "S25 a client without autocommit leaves none behind", acts: []act{
		{who: "A", do: "SET autocommit = 0"},
		{who: "A", do: "UPDATE a SET v = 12 WHERE id = 1"},
		{who: "A", do: "COMMIT"},
		{who: "B", do: "UPDATE a SET v = 10 WHERE id = 1"},
		{who: "C", do: "/*master*/ SELECT v, @@autocommit FROM a WHERE id = 1", want: "10,1"},
		{who: "A", do: "!reset"},
		{who: "A", do: "/*master*/ SELECT v, @@autocommit FROM a WHERE id = 1", want: "10,1"},
	}},
}

// TestCaseS20WhatClientsBeginWithPinsNothing sends what clients send first, with
// one connection per server: the next read goes to a replica, and another
// client gets the connection.
func TestCaseS20WhatClientsBeginWithPinsNothing(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		tales := slices.Clone(autocommitOff)
		for _, q := range initSequences {
			ta := tale{name: q.who, only: q.only}
			for _, sql := range q.sends {
				ta.acts = append(ta.acts, act{who: "A", do: sql})
			}
			ta.acts = append(ta.acts,
				act{who: "A", do: shadowed, on: onReplica, want: "10"},
				act{who: "B", do: otherUser, on: onPrimary},
				act{who: "A", do: otherUser, on: onPrimary},
				act{who: "A", do: shadowed, on: onReplica, want: "10"})
			tales = append(tales, ta)
		}
		s.play(t, tales)
	})
}
