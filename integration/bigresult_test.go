//go:build integration

package integration

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
)

// MINEFIELD P12.
func TestABigResultTakesNoMemory(t *testing.T) {
	const limit = 32 << 20
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		harness.Exec(t, c,
			"DROP TABLE IF EXISTS app.big",
			"CREATE TABLE app.big (id INT AUTO_INCREMENT PRIMARY KEY)",
			"INSERT INTO app.big VALUES (1), (2), (3), (4)",
			"INSERT INTO app.big SELECT NULL FROM app.big a, app.big b, app.big c, app.big d, app.big e",
		) // 4 + 1024 rows
		p := suite.StartProxyWithoutRace(t, harness.ProxyConfig(c))
		for _, shape := range []struct {
			name, query string
			bytes       int64
		}{
			{"1 GiB in rows of 1 MiB", "SELECT REPEAT('x', 1048576) FROM big WHERE id > 4 LIMIT 1024", 1 << 30},
			{"1 GiB in rows of 32 MiB, each three packets long", "SELECT REPEAT('x', 33554432) FROM big LIMIT 32", 1 << 30},
			{"64 MiB in rows of 64 bytes", "SELECT REPEAT('x', 64) FROM big a, big b LIMIT 1048576", 64 << 20},
		} {
			t.Run(shape.name, func(t *testing.T) {
				conn := harness.Connect(t, p, "maxAllowedPacket=67108864")
				if _, err := firstColumn(t.Context(), conn, "SELECT 1", nil); err != nil {
					t.Fatal(err)
				}
				if err := p.ResetPeakRSS(); err != nil {
					t.Fatal(err)
				}
				before, err := p.RSS()
				if err != nil {
					t.Fatal(err)
				}
				if n := readAll(t, conn, shape.query); n != shape.bytes {
					t.Errorf("%d bytes came, want %d", n, shape.bytes)
				}
				peak, err := p.PeakRSS()
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("RSS %.1f MiB before, %.1f MiB at most", float64(before)/(1<<20), float64(peak)/(1<<20))
				if peak-before > limit {
					t.Errorf("RSS grew by %d MiB, limit %d MiB", (peak-before)>>20, limit>>20)
				}
			})
		}
	})
}

// readAll reads a result of one column and returns the number of bytes of its
// values.
func readAll(t *testing.T, conn *sql.Conn, query string) int64 {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var total int64
	var value sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&value); err != nil {
			t.Fatal(err)
		}
		total += int64(len(value))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(fmt.Errorf("after %d bytes: %w", total, err))
	}
	return total
}
