package wiretest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// A driver that others wrote logs in and reads a result.
func TestGoDriverTalksToTheFakeServer(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, plugin := range []string{auth.NativePassword, auth.CachingSHA2} {
		for _, caps := range []wire.Capability{Capabilities, Capabilities &^ wire.DeprecateEOF, Capabilities &^ wire.SessionTrack} {
			s := NewServer(t, Options{
				Greeting:  wire.HandshakeV10{AuthPlugin: plugin, Capabilities: caps},
				Passwords: map[string]string{"app": "secret", "nopass": ""},
				Key:       key,
			}, Answer(answerDriver))
			for _, c := range []struct {
				user, password string
				ok             bool
			}{
				{"app", "secret", true},
				{"app", "Secret", false},
				{"app", "", false},
				{"nopass", "", true},
				{"nobody", "secret", false},
			} {
				err := queryWithDriver(t.Context(), s.Addr(), c.user, c.password)
				var e *mysql.MySQLError
				switch {
				case c.ok && err != nil:
					t.Errorf("%s, caps %x, %s/%s: %v", plugin, uint64(caps), c.user, c.password, err)
				case !c.ok && (!errors.As(err, &e) || e.Number != wire.CodeAccessDenied):
					t.Errorf("%s, caps %x, %s/%s: %v, want 1045", plugin, uint64(caps), c.user, c.password, err)
				}
			}
		}
	}
}

func answerDriver(p *Peer, cmd wire.Command, arg []byte) error {
	switch {
	case cmd != wire.ComQuery:
		return OK(wire.OK{})(p)
	case string(arg) == "SELECT name, n":
		return p.SendResult(
			[]wire.ColumnDef{wire.TextColumn("name"), wire.IntColumn("n")},
			[][]wire.Value{{{Text: "a"}, {Text: "1"}}, {{Null: true}, {Text: "2"}}},
		)
	}
	return Err(wire.CodeParse, "what?")(p)
}

func queryWithDriver(ctx context.Context, addr, user, password string) error {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.DBName = "tcp", addr, user, password, "t"
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, "SELECT name, n")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var got []any
	for rows.Next() {
		var name sql.NullString
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			return err
		}
		got = append(got, name, n)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(got) != 4 || got[0] != (sql.NullString{String: "a", Valid: true}) || got[1] != 1 || got[2] != (sql.NullString{}) || got[3] != 2 {
		return errors.New("wrong rows")
	}
	var e *mysql.MySQLError
	if _, err := db.ExecContext(ctx, "nonsense"); !errors.As(err, &e) || e.Error() != "Error 1064 (42000): what?" {
		return fmt.Errorf("nonsense: %w", err)
	}
	return nil
}
