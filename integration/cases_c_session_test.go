//go:build integration

package integration

import "github.com/telamondb/telamon/internal/localserver"

const localserverDBA = localserver.DBAUser

// casesCSession are statements about the session, and those that depend on it.
var casesCSession = []mineCase{
	{id: "C30", title: "BEGIN is a block where the server says so", only: "MariaDB", steps: []caseStep{
		primary("BEGIN NOT ATOMIC INSERT INTO b VALUES (1); END"),
		anyone("SELECT COUNT(*) FROM b").want("1"),
		anyone("SET sql_mode = 'ORACLE'").by("b"),
		primary("BEGIN INSERT INTO b VALUES (2); END").by("b"),
		primary("BEGIN").by("b").fails(1064),
		anyone("SELECT COUNT(*) FROM b").by("b").want("2"),
		primary("INSERT INTO b VALUES (3)").by("b"),
		primary("ROLLBACK").by("b"),
		root("SELECT COUNT(*) FROM app_cases.b", "3"), // none of it was in a transaction
	}},
	{id: "C31", title: "CALL runs on the primary and leaves the session there", steps: []caseStep{
		primary("CALL p2()"),
		root("SELECT COUNT(*) FROM app_cases.b", "1"),
		primary("CALL p1(@o)"),
		same("SELECT @o").want("3"),
		primary("CALL p3()").by("b"),
		same("SELECT COUNT(*) FROM b").by("b").want("2"),
		same("ROLLBACK").by("b"),
		root("SELECT COUNT(*) FROM app_cases.b", "1"),
		primary("CALL p4()").by("c"),
		same("SELECT @left").by("c").want("4"),
		same("SELECT @@group_concat_max_len").by("c").want("44"),
		same("SELECT COUNT(*) FROM left_there").by("c").want("0"),
		quit().by("c"),
		anyone("SELECT @left").by("d").want("NULL"),
		anyone("SELECT @@group_concat_max_len > 44").by("d").want("1"),
		anyone("SELECT * FROM left_there").by("d").fails(1146),
	}},
	{id: "C32", title: "an open HANDLER keeps its connection", steps: []caseStep{
		primary("HANDLER a OPEN"),
		same("HANDLER a READ FIRST").want("1"),
		anyone("SELECT 1").want("1"),
		primary("HANDLER a READ NEXT").want("2"),
		same("HANDLER a CLOSE"),
		primary("HANDLER a READ FIRST").by("b").fails(1109),
	}},
	{id: "C34", title: "what is shown of the statement before comes from its connection", textOnly: true, steps: c34()},
	{id: "C34", title: "the same prepared, which MySQL cannot", only: "MariaDB", steps: c34()},
	{id: "C34", title: "SHOW goes where it is true", steps: []caseStep{
		anyone("SHOW STATUS LIKE 'Last_query_cost'").differing(),
		primary("CREATE TEMPORARY TABLE b (only_here INT)").by("b"),
		same("SHOW CREATE TABLE b", "SHOW COLUMNS FROM b", "SHOW INDEX FROM b", "DESC b", "EXPLAIN b").by("b"),
		same("SELECT COUNT(*) FROM b").by("b").want("0"),
		same("DROP TEMPORARY TABLE b").by("b"),
		replica("SHOW COLUMNS FROM b").by("b").want("id"),
		primary("SHOW MASTER STATUS").mariadb().fails(1227).by("c"),
		primary("SHOW BINARY LOG STATUS").mysql().fails(1227).by("c"),
		primary("SHOW BINARY LOGS").fails(1227).by("c"),
		primary("SHOW PROCESSLIST").differing().by("c"),
		primary("SHOW ENGINE INNODB STATUS").fails(1227).by("c"),
		primary("SHOW REPLICA STATUS").fails(1227).by("c"),
		primary("SHOW SLAVE STATUS").fails(anyError).by("c"),
		replica("SHOW TABLES", "SHOW CREATE TABLE a", "DESCRIBE a").by("d"),
		replica("SHOW INDEX FROM a").differing().by("d"), // every server estimates cardinalities for itself
		primary("SHOW VARIABLES LIKE 'read_only'").by("d"),
	}},
	{id: "C35", title: "a variable has one value however it is asked for", steps: []caseStep{
		anyone("SET autocommit = 0"), anyone("SELECT @@autocommit").want("0"), anyone("SHOW VARIABLES LIKE 'autocommit'"), anyone("SET autocommit = 1"),
		anyone("SELECT @@autocommit").want("1"), anyone("SHOW VARIABLES LIKE 'autocommit'"),
		anyone("SET SESSION group_concat_max_len = 35"), anyone("SELECT @@group_concat_max_len").want("35"), anyone("SHOW VARIABLES LIKE 'group_concat_max_len'"),
		anyone("/*slave*/ SELECT @@group_concat_max_len").want("35"), anyone("/*slave*/ SHOW VARIABLES LIKE 'group_concat_max_len'"),
		anyone("SET time_zone = '+03:00'"), anyone("SELECT @@time_zone").want("+03:00"), anyone("SHOW VARIABLES LIKE 'time_zone'"),
	}},
	{id: "C36", title: "questions about the server are answered by the primary", steps: []caseStep{
		primary("SELECT @@server_id").want("1"),
		primary("SELECT @@read_only").want("0"),
		primary("SELECT @@global.read_only").want("0"),
		primary("SELECT @@hostname", "SELECT @@port", "SELECT 0 + CONNECTION_ID()", "SELECT 0 + @@pseudo_thread_id").differing(),
		primary("SELECT COUNT(*) > 0 FROM information_schema.processlist", "SELECT COUNT(*) > 0 FROM INFORMATION_SCHEMA . `TABLES`").want("1"),
		primary("SELECT @@gtid_current_pos IS NULL").mariadb().want("0"),
		primary("SELECT @@gtid_executed IS NULL", "SELECT @@server_uuid IS NULL").mysql().want("0"),
		primary("SELECT COUNT(*) FROM performance_schema.threads").fails(anyError).differing(),
		primary("SELECT COUNT(*) FROM sys.version").fails(anyError).differing(),
		clears(),
		replica("/*slave*/ SELECT @@server_id").differing(),
	}},
	{id: "C37", title: "SET in all its forms holds on every server", steps: []caseStep{
		anyone("SET NAMES latin1"), c37(),
		anyone("SET NAMES 'utf8mb4' COLLATE 'utf8mb4_bin'"), c37(),
		anyone("SET CHARACTER SET latin1"), c37(),
		anyone("SET CHARSET 'latin2'"), c37(),
		anyone("SET CHARSET 'utf8mb4'").mysql(), c37(), // MariaDB 11.8: docs/compatibility.md, Column definitions
		anyone("SET NAMES DEFAULT"), c37(),
		anyone("SET @@session.time_zone = '+01:00'"), c37(),
		anyone("SET @@local.time_zone = '+02:00'"), c37(),
		anyone("SET LOCAL time_zone := '+03:00'"), c37(),
		anyone("SET SESSION `time_zone` = \"+04:00\";"), c37(),
		anyone("SET @@time_zone = '+05:00'"), c37(),
		anyone("SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')"), c37(),
		anyone("SET sql_mode = ''"), c37(),
		anyone("SET sql_mode = ANSI_QUOTES"), c37(),
		anyone("SET sql_mode = DEFAULT, NAMES utf8mb4, @u = 7, time_zone = 'SYSTEM'"), c37(),
		anyone("SELECT @u").want("7"),
		anyone("SET group_concat_max_len = (SELECT 30 + 7)"), c37(),
		anyone("SET group_concat_max_len = @@global.group_concat_max_len"), c37(),
		anyone("SET SESSION group_concat_max_len = CAST(GREATEST(@@session.group_concat_max_len, 99) AS UNSIGNED)"), c37(),
		anyone("/*!40101 SET time_zone = '+06:00' */;"), c37(),
		anyone("/*!40101 SET NAMES latin1 */"), c37(),
		anyone("SET @old = @@sql_mode, sql_mode = 'NO_AUTO_VALUE_ON_ZERO'"), c37(),
		anyone("SET sql_mode = @old"), c37(),
		anyone("SET STATEMENT max_statement_time = 10 FOR SELECT 1").mariadb().want("1"), c37(),
	}},
	{id: "C37", title: "SET GLOBAL is the server's business", textOnly: true, steps: []caseStep{ // MySQL 9.7 answers its prepare by an OK of 7 bytes
		primary("SET GLOBAL group_concat_max_len = 5", "SET @@global.group_concat_max_len = 5").fails(1227), c37(),
	}},
	{id: "C39", title: "what a computed SET results in is known", textOnly: true, steps: []caseStep{
		anyone("SET sql_mode = CONCAT_WS(',', 'ANSI_QUOTES', 'NO_BACKSLASH_ESCAPES')"),
		primary(`SELECT 'a\'; INSERT INTO b VALUES (1); -- '`),
		root("SELECT COUNT(*) FROM app_cases.b", "1"),
		anyone(`SELECT "v" FROM a WHERE id = 1`).want("10"),
		anyone("SET time_zone = '+01:00'").by("b"),
		anyone("SET @b = @@time_zone, time_zone = '+02:00'").by("b"),
		anyone("SELECT @b").by("b").want("+01:00"),
		anyone("SELECT @@time_zone").by("b").want("+02:00"),
		anyone("SET time_zone = @b").by("b"),
		anyone("/*slave*/ SELECT @@time_zone").by("b").want("+01:00"),
		anyone("SET time_zone = (SELECT '+07:00')").by("c"),
		replica("/*slave*/ SELECT @@time_zone").by("c").want("+07:00"),
		replica("SELECT TIMESTAMPDIFF(HOUR, UTC_TIMESTAMP(), NOW())").by("c").want("7"),
	}},
	{id: "C40", title: "no SET is faked", steps: []caseStep{
		anyone("SET time_zone = '+03:00'"),
		replica("SELECT TIMESTAMPDIFF(HOUR, UTC_TIMESTAMP(), NOW())").want("3"),
		anyone("SET lc_time_names = 'de_DE'"),
		replica("SELECT MONTHNAME('2024-03-01')").want("März"),
		anyone("SET div_precision_increment = 1"),
		replica("SELECT 1 / 3").want("0.3"),
		anyone("SET timestamp = 1000000000"),
		anyone("SELECT UNIX_TIMESTAMP()").want("1000000000"),
		anyone("SET timestamp = DEFAULT"),
		anyone("SET default_week_format = 3"),
		anyone("SELECT WEEK('2024-12-31')"),
		anyone("SET no_such_variable = 1").fails(1193),
		anyone("SET @@session.max_connections = 1").fails(1229),
	}},
	{id: "C41", title: "a SET that fails changes nothing", steps: []caseStep{
		anyone("SET NAMES no_such_charset").fails(1115),
		anyone("SET sql_mode = 'NO_SUCH_MODE'").fails(1231),
		anyone("SET time_zone = '+99:00'").fails(1298),
		anyone("SET sort_buffer_size = 300000, no_such_variable = 1").fails(1193),
		anyone("SET time_zone = '+01:00', time_zone = '+99:00'").fails(1298), // MariaDB and MySQL check before they set
		anyone("SET NAMES latin1, time_zone = '+99:00'").fails(1298),
		anyone("SET autocommit = 2").fails(1231),
		anyone("SELECT @@sort_buffer_size, @@time_zone, @@sql_mode, @@character_set_client, @@autocommit"),
		clears(),
		replica("/*slave*/ SELECT @@sort_buffer_size, @@time_zone, @@sql_mode, @@character_set_client, @@autocommit"),
		replica("SELECT v FROM a WHERE id = 1").want("10"),
		primary("INSERT INTO b VALUES (1)"),
		root("SELECT COUNT(*) FROM app_cases.b", "1"),
	}},
}

// c37 looks at what the SETs of C37 change, on the primary and on a replica.
func c37() caseStep {
	return anyone(
		"SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection, @@time_zone, @@sql_mode, @@group_concat_max_len",
		"/*slave*/ SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection, @@time_zone, @@sql_mode, @@group_concat_max_len",
		"/*slave*/ SELECT 'ä', CHARSET('x'), COLLATION('x'), HOUR(FROM_UNIXTIME(0))",
	)
}

// c34 asks for warnings and errors.
func c34() []caseStep {
	return []caseStep{
		replica("SELECT CAST('12x' AS SIGNED)").want("12"),
		same("SHOW WARNINGS").want("Warning"),
		same("SHOW COUNT(*) WARNINGS").want("1"),
		replica("SELECT CAST('12x' AS SIGNED)").want("12"),
		same("SELECT @@warning_count").want("1"),
		primary("INSERT INTO a VALUES (1, 1)").fails(1062),
		same("SHOW ERRORS").want("Error"),
		same("SHOW COUNT(*) ERRORS").want("1"),
		clears(),
		replica("SELECT v FROM a WHERE id = 1").want("10"),
	}
}
