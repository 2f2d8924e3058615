package lex

import "testing"

func TestAssignmentsOfSessionVariablesAreCounted(t *testing.T) {
	for text, want := range map[string]int{
		"SET sql_mode=''": 1,
		"SET @@sql_select_limit=5, foreign_key_checks=0":                        2,
		"SET SESSION a=1, GLOBAL b=2, @@session.c=3, @@global.d=4, @e=5":        2,
		"SET NAMES utf8mb4, @@SESSION.sql_mode='x', @@SESSION.wait_timeout = 7": 2,
		"SET NAMES gbk":                                                             0,
		"SET SESSION TRANSACTION READ ONLY":                                         0,
		"SET TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE":                   0,
		"SET SESSION TRANSACTION READ WRITE, ISOLATION LEVEL SERIALIZABLE; SET a=1": 1,
		"SET @@transaction_isolation='READ-COMMITTED'":                              0,
		"SET transaction_isolation='READ-COMMITTED'":                                1,
		"/*!40014 SET @OLD=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */":                     1,
		"SELECT @@sql_mode":                                                         0,
		"UPDATE t SET a=1, b=2":                                                     0,
		"SET a=1; SET b=2":                                                          2,
		"SET a=(SELECT c FROM t WHERE d=1), b := CONCAT(@@x,',y')":                  2,
	} {
		var f Facts
		if Scan([]byte(text), Mode{}, &f); f.SetVars != want {
			t.Errorf("%s: %d, want %d", text, f.SetVars, want)
		}
	}
}
