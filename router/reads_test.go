package router_test

import (
	"testing"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
)

// Reads in all the ways SQL has for them. What stays on the primary without
// need costs the user his replicas.
var everydayReads = []string{
	"SELECT * FROM t WHERE id = ?",
	"SELECT t.* FROM db.t AS t USE INDEX (i) FORCE INDEX FOR JOIN (j) WHERE a BETWEEN 1 AND 2",
	"SELECT COUNT(*), COUNT(DISTINCT a), SUM(a) FROM t GROUP BY b WITH ROLLUP HAVING SUM(a) > 1 ORDER BY NULL LIMIT 5 OFFSET 10",
	"SELECT GROUP_CONCAT(DISTINCT a ORDER BY b DESC SEPARATOR ', ') FROM t",
	"SELECT a FROM t JOIN u USING (id) LEFT JOIN (v, w) ON (t.id = v.id) NATURAL JOIN x",
	"SELECT a FROM t WHERE (a, b) IN ((1, 2), (3, 4)) AND c NOT IN (SELECT c FROM u) AND EXISTS (SELECT 1) AND d > ALL (SELECT 1)",
	"SELECT MATCH (a, b) AGAINST ('+x' IN BOOLEAN MODE) FROM t",
	"SELECT CAST(a AS DECIMAL(10,2)), CONVERT(a USING utf8mb4), CONVERT(a, CHAR(10)), CAST(a AS SIGNED) FROM t",
	"SELECT TRIM(BOTH 'x' FROM a), SUBSTRING(a FROM 2 FOR 3), EXTRACT(YEAR FROM d), POSITION('a' IN b), d + INTERVAL 1 DAY FROM t",
	"SELECT CASE WHEN a THEN 1 ELSE 2 END, IF(a, 1, 2), IFNULL(a, 1), NULLIF(a, 1), COALESCE(a, b, 1) FROM t",
	"SELECT DATE '2024-01-01', TIMESTAMP '2024-01-01 00:00:00', N'x', _utf8mb4'x' COLLATE utf8mb4_bin, x'41', 0x41, b'1', 1e3, .5",
	"SELECT NOW(), NOW(6), CURRENT_TIMESTAMP, CURRENT_TIMESTAMP(6), UTC_TIMESTAMP(), CURDATE(), SYSDATE(), UNIX_TIMESTAMP()",
	"SELECT DATABASE(), SCHEMA(), USER(), CURRENT_USER, CURRENT_USER(), SESSION_USER()",
	"SELECT ROW_NUMBER() OVER (PARTITION BY a ORDER BY b), LAG(a, 1) OVER w, SUM(a) OVER (ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t WINDOW w AS (ORDER BY a)",
	"WITH c AS (SELECT 1) SELECT * FROM c",
	"WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5), d AS (SELECT 2) SELECT * FROM c, d",
	"WITH c AS (SELECT 1) (SELECT * FROM c) UNION (SELECT 2) ORDER BY 1",
	"WITH c AS (SELECT 1) ((SELECT * FROM c))",
	"WITH c (a) AS (SELECT 1), d (b) AS (SELECT 2) (WITH e AS (SELECT 3) SELECT * FROM c, d, e)",
	"(WITH c AS (SELECT 1) SELECT * FROM c)",
	"SELECT * FROM (WITH c AS (SELECT 1 AS x) SELECT * FROM c) AS d",
	"(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 LIMIT 1",
	"((SELECT 1))",
	"SELECT 1 EXCEPT SELECT 2 INTERSECT SELECT 3",
	"VALUES (1, 2), (3, 4)",
	"SELECT * FROM t PARTITION (p0, p1) AS x",
	"SELECT * FROM (SELECT a FROM t) AS d (b), (SELECT 1 AS c) e",
	"SELECT JSON_EXTRACT(j, '$.a'), j->'$.a', j->>'$.b', JSON_OBJECT('a', 1), JSON_ARRAYAGG(a) FROM t",
	"SELECT a REGEXP 'x', a RLIKE 'y', REGEXP_REPLACE(a, 'x', 'y'), a SOUNDS LIKE b, NOT a, !a, ~a, a DIV 2, a MOD 2, a ^ 1, a << 1 FROM t",
	"SELECT HIGH_PRIORITY SQL_NO_CACHE STRAIGHT_JOIN DISTINCT a FROM t",
	"SELECT `select`, `from`.`where`, t.update, t.lock, t.`into`, a AS `for update` FROM `from`, t",
	"SELECT ST_AsText(g), ST_Distance(g, g), ST_GeomFromText('POINT(1 1)') FROM t",
	"SELECT UUID(), RAND(), RAND(5), MD5('a'), SHA2('a', 256), CRC32('a'), AES_ENCRYPT('a', 'k'), HEX(RANDOM_BYTES(4))",
	"SELECT ELT(1, 'a'), FIELD('a', 'b'), MAKE_SET(1, 'a'), FORMAT(1, 2), LPAD('a', 2, ' '), INSERT('abc', 1, 1, 'x'), REPLACE('a', 'b', 'c'), REPEAT('a', 2)",
	"SELECT LEFT('a', 1), RIGHT('a', 1), MOD(5, 2), TRUNCATE(1.5, 0), CHAR(65 USING utf8mb4), VALUES(a) FROM t",
	"SELECT INET_ATON('1.2.3.4'), SLEEP(0), BENCHMARK(1, 1), CHARSET('a'), COLLATION('a'), COERCIBILITY('a')",
	"SELECT STR_TO_DATE('2024', '%Y'), DATE_FORMAT(d, '%Y'), TIMESTAMPDIFF(SECOND, a, b), DATE_ADD(d, INTERVAL 1 MONTH), GET_FORMAT(DATE, 'EUR') FROM t",
	"SELECT 'it''s', \"double\", 'for update', '/* */', '-- ', 'a' 'b' -- comment\n, 1 # comment\n, /* comment */ 2",
	"SELECT 1 FROM DUAL WHERE 1 = 1 AND 'a' = 'b' OR NULL IS NOT NULL XOR TRUE <=> FALSE",
	"SELECT a FROM t WHERE b = 'x' AND c IN (?, ?, ?) AND d LIKE '%y%' ESCAPE '!' ORDER BY FIELD(id, 3, 1, 2), b COLLATE utf8mb4_bin",
	"SELECT /* app: x */ a /* y */ FROM t /* z */;",
	"SELECT /*+ MAX_EXECUTION_TIME(1000) */ a FROM t",
	"SHOW TABLES", "SHOW FULL COLUMNS FROM t", "SHOW CREATE TABLE t", "SHOW INDEX FROM t", "SHOW DATABASES", "DESCRIBE t", "DESC t a",
	"SHOW TABLE STATUS LIKE 't'", "SHOW COLLATION", "SHOW CHARACTER SET", "SHOW TRIGGERS",
	"EXPLAIN SELECT * FROM t", "EXPLAIN FORMAT=JSON SELECT * FROM t", "DESCRIBE SELECT 1", "EXPLAIN WITH c AS (SELECT 1) SELECT * FROM c",
	"EXPLAIN (SELECT 1)", "EXPLAIN WITH c AS (SELECT 1) (SELECT * FROM c)",
	"HELP 'SELECT'",
}

var readsOfMySQL = []string{
	"TABLE t ORDER BY a LIMIT 1", "VALUES ROW(1, 2), ROW(3, 4)",
	"SELECT * FROM t, LATERAL (SELECT * FROM u WHERE u.id = t.id) AS d",
	"SELECT * FROM t, JSON_TABLE(t.j, '$[*]' COLUMNS (id FOR ORDINALITY, a INT PATH '$.a', NESTED PATH '$.b[*]' COLUMNS (c INT PATH '$'))) AS jt",
	"SELECT GROUPING(a), ANY_VALUE(b), JSON_VALUE(j, '$.a' RETURNING SIGNED), 1 MEMBER OF (j), REGEXP_LIKE(a, 'x'), BIN_TO_UUID(u), UUID_TO_BIN(v) FROM t GROUP BY a WITH ROLLUP",
	"SELECT CAST(j->'$.a' AS UNSIGNED ARRAY) FROM t",
	"SELECT /*+ SET_VAR(sort_buffer_size=16M) INDEX(t i) */ a FROM t",
	"SELECT a FROM t LIMIT 5, 10",
	"SELECT ST_Distance(POINT(1, 2), g) FROM t", "EXPLAIN FORMAT=TREE SELECT 1", "EXPLAIN ANALYZE SELECT * FROM t",
}

var readsOfMariaDB = []string{
	"SELECT seq FROM seq_1_to_5", "SELECT * FROM t FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01'", "SELECT * FROM t FOR SYSTEM_TIME ALL",
	"SELECT a FROM t ORDER BY a OFFSET 1 ROW FETCH FIRST 5 ROWS ONLY", "SELECT a FROM t LIMIT ROWS EXAMINED 100",
	"SELECT MEDIAN(a) OVER (PARTITION BY b), PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY a) OVER (PARTITION BY b) FROM t",
	"SELECT COLUMN_GET(c, 'a' AS INT), COLUMN_JSON(c), JSON_DETAILED(j), NVL(a, b), JSON_QUERY(j, '$') FROM t",
	"ANALYZE SELECT * FROM t", "ANALYZE FORMAT=JSON SELECT * FROM t",
	"SELECT SQL_CACHE a FROM t",
}

func TestEverydayReadsGoToAReplica(t *testing.T) {
	for _, group := range []struct {
		flavor lex.Flavor
		texts  []string
	}{
		{lex.FlavorMySQL, everydayReads}, {lex.FlavorMySQL, readsOfMySQL},
		{lex.FlavorMariaDB, everydayReads}, {lex.FlavorMariaDB, readsOfMariaDB},
	} {
		for _, text := range group.texts {
			var f lex.Facts
			lex.Scan([]byte(text), lex.Mode{Flavor: group.flavor}, &f)
			d := router.Route(&router.Request{Facts: &f, View: router.SessionView{Autocommit: true}}, nil)
			if d.Target != router.Replica {
				t.Errorf("%v: %s\n\tgoes to the %v: %v", group.flavor, text, d.Target, d.Reason)
			}
		}
	}
}
