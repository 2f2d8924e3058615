package lex_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/telamondb/telamon/router/lex"
)

const pointSelect = "SELECT c FROM sbtest1 WHERE id=12345"

// ormJoin is 500 bytes of what an ORM writes.
var ormJoin = "SELECT `u`.`id` AS `u0_`, `u`.`email` AS `u1_`, `u`.`created_at` AS `u2_`, `o`.`id` AS `o3_`, " +
	"`o`.`total` AS `o4_`, `o`.`status` AS `o5_`, `i`.`sku` AS `i6_`, `i`.`quantity` AS `i7_` " +
	"FROM `users` `u` INNER JOIN `orders` `o` ON `o`.`user_id` = `u`.`id` " +
	"LEFT JOIN `order_items` `i` ON `i`.`order_id` = `o`.`id` " +
	"WHERE `u`.`tenant_id` = 42 AND `o`.`status` IN ('paid', 'shipped') AND `o`.`created_at` >= '2024-01-01 00:00:00' " +
	"AND COUNT(`i`.`id`) > 1 ORDER BY `o`.`created_at` DESC, `o`.`id` LIMIT 50, 100"

func BenchmarkScan(b *testing.B) {
	for _, bm := range []struct{ name, text string }{
		{"empty", "x"},
		{"point select", pointSelect},
		{"ORM join", ormJoin},
		{"update", "UPDATE sbtest1 SET k=k+1 WHERE id=4711"},
		{"SET NAMES", "SET NAMES utf8mb4"},
		{"insert", "INSERT INTO t (a,b,c) VALUES " + string(bytes.Repeat([]byte("(1,'abc',NULL),"), 30)) + "(1,2,3)"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			var f lex.Facts
			stmt := []byte(bm.text)
			mode := lex.Mode{Flavor: lex.FlavorMySQL}
			b.SetBytes(int64(len(stmt)))
			b.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			before := threadTime(b)
			for b.Loop() {
				lex.Scan(stmt, mode, &f)
			}
			// On a busy machine the time of the thread says more than the clock.
			b.ReportMetric(float64(threadTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// threadTime returns the CPU time this thread has used.
func threadTime(tb testing.TB) time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &ru); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func TestScanDoesNotAllocate(t *testing.T) {
	var f lex.Facts
	for _, text := range []string{
		pointSelect, ormJoin, "/* slave@report */ SELECT f1(), `get_lock`('a',1), @x, @@session.sql_mode",
		"SET NAMES utf8mb4, @a=1, SESSION sql_mode='ANSI'; SELECT 'x\\'y' /*!80000 FOR UPDATE */",
		"DROP TEMPORARY TABLE IF EXISTS a, b.c, `d`; KILL QUERY 5",
	} {
		stmt := []byte(text)
		if n := testing.AllocsPerRun(100, func() { lex.Scan(stmt, lex.Mode{}, &f) }); n != 0 {
			t.Errorf("%q: %v allocations, want 0", text, n)
		}
	}
}

func TestScanIsLinearOnWorstCases(t *testing.T) {
	if testing.Short() {
		t.Skip("64 MiB of text")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, unit := range []string{
		"(", ")", "'", "\"", "`", "/*", "/*!", "*/", "--", "-- \n", "#\n", "@", "@@", ";", ",", "(1),", "a(", "\\", ".",
		"0", "0x", "1e", "\x95\x5c", "select ", "begin ", "end ", "/*+`", "/*!'*/", "x'",
	} {
		stmt := bytes.Repeat([]byte(unit), worstCase/len(unit))
		for _, cs := range []lex.Charset{lex.CharsetUTF8, lex.CharsetGBK} {
			var f lex.Facts
			before := threadTime(t)
			lex.Scan(stmt, lex.Mode{Charset: cs}, &f)
			// Wanted are 20 ms/MiB on a quiet machine. What this catches is a
			// quadratic scan, which would take hours.
			if d := threadTime(t) - before; d > worstCase>>20*20*time.Millisecond*slowdown {
				t.Errorf("%d MiB of %q: %v", worstCase>>20, unit, d)
			}
		}
	}
}

func ExampleDigestText() {
	fmt.Printf("%s\n", lex.DigestText(nil, []byte("SELECT  `c`, COUNT(*) FROM T -- all\nWHERE id IN (1, 2,\t3) AND n=-'x' and `select`=1.5e3"), lex.Mode{}))
	fmt.Printf("%s\n", lex.DigestText(nil, []byte("INSERT INTO t(a,b) VALUES (1,'x'),(2,NULL), (?,?)"), lex.Mode{}))
	// Output:
	// select c, count(*) from t where id in (?, ...) and n = - ? and `select` = ?
	// insert into t(a, b) values (?, ...), ...
}
