package proxy

import (
	"testing"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
	"github.com/telamondb/telamon/wire/wiretest"
)

func TestOnlyWhatAllServersCanDoIsOffered(t *testing.T) {
	type server struct {
		flavor  backend.Flavor
		version string
	}
	const (
		my, maria = backend.MySQL, backend.MariaDB
		all       = wire.MariaDBProgress | wire.MariaDBStmtBulk | wire.MariaDBExtMetadata | wire.MariaDBCacheMetadata
		units     = wire.MariaDBBulkUnitResults
		depends   = wire.LongPassword | wire.QueryAttributes | all | units
	)
	for _, c := range []struct {
		name    string
		servers [2]server // primary, replica
		want    wire.Capability
	}{
		{"nobody has answered yet", [2]server{}, wire.LongPassword},
		{"MySQL", [2]server{{my, "9.7.0"}, {my, "8.0.23"}}, wire.LongPassword | wire.QueryAttributes},
		{"one server has not answered yet", [2]server{{my, "8.4.0"}, {}}, wire.LongPassword | wire.QueryAttributes},
		{"a MySQL that is a little too old", [2]server{{my, "8.0.22-log"}, {my, "8.4.0"}}, wire.LongPassword},
		{"MySQL 5.7 as replica", [2]server{{my, "8.4.0"}, {my, "5.7.44"}}, wire.LongPassword},
		{"MariaDB", [2]server{{maria, "10.11.6-MariaDB"}, {maria, "11.4.2-MariaDB-log"}}, all},
		{"MariaDB 11.8", [2]server{{maria, "11.8.6-MariaDB"}, {maria, "11.5.1-MariaDB"}}, all | units},
		{"MariaDB 10.5", [2]server{{maria, "10.5.2-MariaDB"}, {maria, "10.11.6-MariaDB"}}, all &^ wire.MariaDBCacheMetadata},
		{"MariaDB 10.2", [2]server{{maria, "10.2.1-MariaDB"}, {}}, wire.MariaDBProgress | wire.MariaDBStmtBulk},
		{"both", [2]server{{maria, "10.11.6-MariaDB"}, {my, "8.4.0"}}, wire.LongPassword},
		{"a version without numbers", [2]server{{my, "percona"}, {}}, wire.LongPassword},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.store.Update(func(d *backend.Draft) {
				for i, st := range r.store.Load().States {
					st := d.State(st.Server)
					st.Flavor, st.Version = c.servers[i].flavor, c.servers[i].version
				}
			})
			p, err := wiretest.Login(r.dial(), wiretest.Credentials{User: "app", Password: "pw"})
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Greeting.Capabilities & depends; got != c.want {
				t.Errorf("offers %#x, want %#x", uint64(got), uint64(c.want))
			}
			if p.Greeting.Collation != wire.CollationUTF8MB4 { // H01: whether servers answer or not
				t.Errorf("collation %d", p.Greeting.Collation)
			}
		})
	}
}

// H30: a client gets what was offered and it has asked for, whatever else it
// asks for.
func TestAClientThatAsksForEverythingGetsWhatWasOffered(t *testing.T) {
	r := newRig(t) // MySQL
	nc := r.dial()
	p := &wiretest.Peer{Conn: wire.NewConn(nc)}
	b, err := p.Read()
	if err == nil {
		err = p.Greeting.Parse(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	x := auth.ClientExchange{Password: "pw"}
	login := wire.HandshakeResponse{
		Capabilities: ^wire.Capability(0) &^ (wire.LongPassword | wire.SSL | wire.ConnectWithDB | wire.Compress | wire.ZstdCompress | wire.QueryAttributes),
		MaxPacket:    1 << 24, Collation: wire.CollationUTF8MB4, User: "app",
	}
	login.AuthPlugin, login.AuthResponse = x.Start(p.Greeting.AuthPlugin, p.Greeting.Salt[:])
	if err := p.Send(login.Append(nil)); err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		if b, err = p.Read(); err != nil {
			t.Fatal(err)
		}
		action, reply, err := x.Next(b)
		if err != nil || wire.IsErr(b) {
			t.Fatalf("%q: %v", b, err)
		}
		if done = action == auth.Done; action == auth.Send {
			if err := p.Send(reply); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.Capabilities = login.Capabilities & p.Greeting.Capabilities
	c := &client{p, t, nc}
	if got := c.value("SELECT 'x' FROM t"); got != "x" { // read without MariaDB's extensions
		t.Errorf("got %q", got)
	}
	st := c.prepare("SELECT ? FROM t")
	if got := c.execute(st, true, "y"); got[0] != "y" {
		t.Errorf("got %q", got)
	}
	c.errs(wire.CodeUnknownCommand, wire.ComStmtBulkExecute, idBytes(st.id)+"\x80\x00\xfd\x00\x00\x01y")
	c.errs(wire.CodeUnknownStmt, wire.ComStmtExecute, executePacket(1<<32-1, 0, true, "y"))
}
