//go:build integration

package integration

import (
	"fmt"
	"slices"
)

// casesCText are about reading the bytes of a statement as the server does.
var casesCText = []mineCase{
	{id: "C06", title: "two dashes begin a comment only before a blank", steps: []caseStep{
		anyone("SELECT 1 --1").want("2"),
		primary("SELECT 1 --f1()").want("2"),
		root("SELECT COUNT(*) FROM app_cases.b", "1"),
		replica("SELECT 606 --\tf1()").bare("606").want("606"),
		replica("SELECT 607 -- f1()").bare("607").want("607"),
		replica("SELECT 608 --\nLIMIT 1").bare("608").want("608"),
		anyone("SELECT 609 --\x01f1()").bare("609").want("609"),
		anyone("SELECT 610 --").bare("610").want("610"),
		primary("SELECT 1 --\nFROM a FOR UPDATE"),
		root("SELECT COUNT(*) FROM app_cases.b", "1"),
	}},
	{id: "C08", title: "noise in front does not hide the verb", steps: []caseStep{
		replica(" \n\t\v\f SELECT 1", "((SELECT 1))", "/*c*/SELECT 1", "-- c\nSELECT 1", "# c\nSELECT 1", "/**//**/ (SELECT 1)"),
		primary("/*c*/ INSERT INTO b VALUES (1)", "-- c\nUPDATE b SET id = 2", "# c\nDELETE FROM b", " \n\t\v\f INSERT INTO b VALUES (3)",
			"(((SELECT id FROM a FOR UPDATE)))", "/*slave*/ INSERT INTO b VALUES (4)"),
		primary("\xa0INSERT INTO b VALUES (5)", "\xef\xbb\xbfINSERT INTO b VALUES (6)", "\x00INSERT INTO b VALUES (7)",
			"\xa0SELECT 1", "\xef\xbb\xbfSELECT 1", "\x00SELECT 1").fails(1064),
		root("SELECT GROUP_CONCAT(id ORDER BY id) FROM app_cases.b", "3,4"),
	}},
	{id: "C09", title: "nothing is nothing", textOnly: true, steps: []caseStep{
		anyone("/* c09 */", "-- c09", "# c09").unlogged().fails(anyError),
		anyone("", " ", "\n\t ").unlogged().fails(1065),
		anyone(";", ";;", "/*").unlogged().fails(anyError),
		clears(),
		replica("SELECT 1").want("1"),
	}},
	{id: "C21", title: "several statements that begin with SET run once, on the primary", textOnly: true, steps: []caseStep{
		primary("SET sql_mode = 'ANSI'; INSERT INTO a (v) VALUES (21); SELECT v FROM a WHERE id = LAST_INSERT_ID() AND \"v\" = 21"),
		root("SELECT COUNT(*) FROM app_cases.a WHERE v = 21", "1"),
		anyone("SELECT \"v\" FROM a WHERE id = 1").want("10"),
		primary("USE app; USE app_cases; INSERT INTO b VALUES (1)").by("b"),
		primary("INSERT INTO a (v) VALUES (22); SELECT ROW_COUNT()").by("c"),
		anyone("SELECT DATABASE()").by("b").want("app_cases"),
	}},
	{id: "C22", title: "a write behind a read in one packet is a write", textOnly: true, steps: []caseStep{
		primary("SELECT 1; DELETE FROM b WHERE id = 0", "SELECT 1;/**/CALL p2()", "SELECT 1;INSERT INTO b VALUES (1)",
			"SELECT 1 ; \n (SELECT id FROM a FOR UPDATE)", "SELECT ';' ; INSERT INTO b VALUES (3)", "SELECT 'a\\'; -- ' ; INSERT INTO b VALUES (4)"),
		root("SELECT GROUP_CONCAT(id ORDER BY id) FROM app_cases.b", "1,2,3,4"),
		replica("SELECT ';DELETE FROM b'", "SELECT `;` FROM (SELECT 1 AS `;`) d", "SELECT 1 /* ; DELETE FROM b */", "SELECT 'a\\';DELETE FROM b'",
			"SELECT \"a\"\";DELETE FROM b\"", "SELECT 1 -- ; DELETE FROM b\n").by("b"),
		root("SELECT COUNT(*) FROM app_cases.b", "4"),
	}},
	{id: "C23", title: "statements are not taken apart at every semicolon", textOnly: true, steps: []caseStep{
		primary("CREATE PROCEDURE p23() BEGIN INSERT INTO b VALUES (1); SELECT 1; END"),
		primary("CALL p23()").want("1"),
		primary("DROP PROCEDURE p23"),
		primary("BEGIN NOT ATOMIC INSERT INTO b VALUES (2); SELECT 2; END").mariadb().want("2"),
		primary("SET sql_mode = 'ANSI_QUOTES'; SELECT \"v\" FROM a WHERE id = 1; SELECT 'x;y'").by("b"),
		primary("SELECT 2301; -- done").by("c").bare("2301"),
		anyone("SELECT 2302;").by("c").bare("2302"),
		anyone("SELECT 2303;;").by("c").bare("2303").fails(anyError),
		anyone(";SELECT 2304").by("c").bare("2304").fails(1064),
		primary("SELECT 2305; ;SELECT 2306").by("c").bare("2305").fails(1064),
		clears().by("c"),
		replica("SELECT 1").by("c").want("1"),
	}},
	{id: "C42", title: "sql_mode changes how the text is read", textOnly: true, steps: []caseStep{
		replica(`SELECT 'a\'; INSERT INTO b VALUES (1); -- '`),
		root("SELECT COUNT(*) FROM app_cases.b", "0"),
		anyone("SET sql_mode = 'NO_BACKSLASH_ESCAPES'"),
		primary(`SELECT 'a\'; INSERT INTO b VALUES (2); -- '`),
		root("SELECT COUNT(*) FROM app_cases.b", "1"),
		replica(`SELECT 'a\', 'b'`),
		anyone("SET sql_mode = 'ANSI_QUOTES'"),
		replica(`SELECT "v" FROM a WHERE id = 1`).want("10"),
		primary(`SELECT 1 AS "a\"; INSERT INTO b VALUES (3); -- "`),
		root("SELECT COUNT(*) FROM app_cases.b", "2"),
		primary(`SELECT id FROM a AS "f" FOR UPDATE`),
		anyone("SET sql_mode = DEFAULT"),
		replica(`SELECT "a\"; INSERT INTO b VALUES (4); -- "`),
		anyone("SET sql_mode = 'IGNORE_SPACE'"),
		replica("SELECT COUNT (*) FROM a").want("3"),
		anyone("SET sql_mode = 'PIPES_AS_CONCAT'"),
		replica("SELECT 'a' || 'b'").want("ab"),
		root("SELECT COUNT(*) FROM app_cases.b", "2"),
	}},
	{id: "C43", title: "words inside strings, names and aliases mean nothing", steps: []caseStep{
		replica("SELECT 'for update'", "SELECT 1 AS 'for update'", "SELECT 1 AS `delete`", "SELECT `delete` FROM (SELECT 1 AS `delete`) `insert`",
			"SELECT N'insert'", "SELECT _utf8mb4'for update'", "SELECT x'41'", "SELECT X'41', b'1', 0x41", "SELECT 'it''s for update'",
			"SELECT 'a' 'for update' 'b'", "SELECT \"insert\"", "SELECT 'into outfile'", "SELECT id AS get_lock FROM a", "SELECT a.id 'lock in share mode' FROM a",
			"SELECT 'GET_LOCK(1,1)', 'f1()'", "SELECT '@x := 1'"),
	}},
	{id: "C44", title: "a trail byte that looks like a backslash is none", textOnly: true, collation: 28, steps: []caseStep{
		primary("SELECT '\x95\x5c'; INSERT INTO b VALUES (1); -- '"),
		root("SELECT COUNT(*) FROM app_cases.b", "1"),
		replica("SELECT '\x95\x5c', 'b'"),
		anyone("SET NAMES utf8mb4"),
		anyone("SELECT '\xc3\x5c'; INSERT INTO b VALUES (2); -- '").fails(anyError),
		anyone("SET NAMES latin1"),
		replica("SELECT '\x95\x5c'; INSERT INTO b VALUES (3); -- '"),
		root("SELECT COUNT(*) FROM app_cases.b", "1"),
		anyone("SET NAMES gbk"),
		primary("SELECT '\x95\x5c'; INSERT INTO b VALUES (4); -- '"),
		anyone("SET NAMES sjis"),
		primary("SELECT '\x95\x5c'; INSERT INTO b VALUES (5); -- '"),
		anyone("SET NAMES big5"),
		primary("SELECT '\xa4\x5c'; INSERT INTO b VALUES (6); -- '"),
		anyone("SET NAMES gb18030").mysql(),
		primary("SELECT '\x95\x5c'; INSERT INTO b VALUES (7); -- '").mysql(),
		anyone("SET CHARACTER SET gbk"),
		primary("SELECT '\x95\x5c'; INSERT INTO b VALUES (8); -- '"),
		anyone("SET character_set_client = sjis"),
		primary("SELECT '\x95\x5c'; INSERT INTO b VALUES (9); -- '"),
		root("SELECT GROUP_CONCAT(id ORDER BY id) FROM app_cases.b", "1,4,5,6,8,9").mariadb(),
		root("SELECT GROUP_CONCAT(id ORDER BY id) FROM app_cases.b", "1,4,5,6,7,8,9").mysql(),
	}},
	{id: "C46", title: "grammar the proxy may not know gets the server's answer", steps: []caseStep{
		replica("SELECT TRIM(BOTH 'x' FROM 'xax')", "SELECT TRIM('x' FROM 'xax')").want("a"),
		replica("SELECT CONVERT('7', UNSIGNED INTEGER)", "SELECT 15 DIV 2", "SELECT 15 MOD 8", "SELECT CAST('7' AS DECIMAL(1))"),
		anyone("SELECT EXTRACT(YEAR FROM '2024-01-01')", "SELECT POSITION('b' IN 'abc')", "SELECT SUBSTRING('abc' FROM 2 FOR 1)",
			"SELECT id, ROW_NUMBER() OVER (ORDER BY id) FROM a", "SELECT INTERVAL 1 DAY + '2024-01-01'"),
		anyone("SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (x INT PATH '$')) j"),
		anyone("SELECT VECTOR_DIM(STRING_TO_VECTOR('[1,2]'))", "SELECT * FROM a QUALIFY 1", "SELECT id FROM LATERAL (SELECT 1 AS id) d",
			"SELECT id FROM a INTERSECT SELECT 1", "SELECT id FROM a EXCEPT SELECT 1", "SELECT id FROM a FETCH FIRST 1 ROWS ONLY", "VALUES (1)", "VALUES ROW(1)",
			"SELECT id FROM a FOR SYSTEM_TIME ALL", "FROM a SELECT id", "MERGE INTO a", "SELECT TOP 1 id FROM a", "HELP 'no such'").fails(anyError),
	}},
	{id: "C47", title: "invalid SQL gets the server's error and changes nothing", steps: slices.Concat(
		c47("SELECT", "SELECT * FROM", "SELEC 1", "UPDATE", "INSERT INTO", "SELECT 'open", "SELECT `open", "SELECT 1 /* open", "BEGIN WORK NOW", "SET",
			"PREPARE", "WITH", "((SELECT 1)", "SELECT 1)", "SELECT no_such FROM a", "SELECT 1 FROM no_such"),
		[]caseStep{
			// What these have run before they failed cannot be known.
			anyone("CALL", "EXECUTE", "SELECT 1; SELEC 2").fails(anyError),
			anyone("SELECT v FROM a WHERE id = 1").want("10"),
			primary("BEGIN").by("b"),
			same("SELEC 1").fails(1064).by("b"),
			same("SELECT v FROM a WHERE id = 1").by("b"),
			same("COMMIT").by("b"),
			replica("SELECT v FROM a WHERE id = 1").by("b").want("10"),
		},
	)},
	{id: "C49", title: "optimizer hints reach the server and hold for one statement", only: "MySQL", steps: []caseStep{
		anyone("SELECT /*+ SET_VAR(sort_buffer_size = 300000) */ @@sort_buffer_size").want("300000"),
		anyone("SELECT @@sort_buffer_size").want("262144"),
		replica("SELECT /*+ MAX_EXECUTION_TIME(1000) */ id FROM a", "SELECT /*+ BKA(a) NO_ICP(a) */ id FROM a", "(SELECT /*+ SET_VAR(foreign_key_checks=OFF) */ id FROM a)"),
		primary("INSERT /*+ SET_VAR(foreign_key_checks=OFF) */ INTO b VALUES (1)"),
		anyone("SELECT @@foreign_key_checks").want("1"),
	}},
	{id: "C51", title: "statements that differ in a literal are told apart", steps: []caseStep{
		anyone("SET autocommit = 1"), replica("SELECT v FROM a WHERE id = 1"),
		anyone("SET autocommit = 0"), primary("SELECT v FROM a WHERE id = 1"), primary("COMMIT"),
		anyone("SET autocommit = 1"), replica("SELECT v FROM a WHERE id = 1"),
		anyone("SET autocommit = 0"), primary("SELECT v FROM a WHERE id = 1"), primary("COMMIT"),
		anyone("SET autocommit = 1"), replica("SELECT v FROM a WHERE id = 1"),
		replica("SELECT v FROM a WHERE id = 2"),
		replica("SELECT LENGTH('a')"), replica("SELECT LENGTH('b')"),
	}},
}

// c47 has each statement fail in a session of its own, which then reads on.
func c47(invalid ...string) (steps []caseStep) {
	for i, sql := range invalid {
		client := fmt.Sprintf("invalid %d", i)
		steps = append(steps,
			anyone(sql).fails(anyError).by(client),
			clears().by(client),
			replica("SELECT v FROM a WHERE id = 1").by(client).want("10"))
	}
	return steps
}
