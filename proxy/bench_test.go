package proxy

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

const pointSelect = "SELECT c FROM sbtest1 WHERE id=4711"

// newQuickServer starts a server that answers every statement but SET by the
// same row, without allocating.
func newQuickServer(t testing.TB) *wiretest.Server {
	columns := []wire.ColumnDef{wire.TextColumn("c")}
	rows := [][]wire.Value{{{Text: "08566691963-88624912351-16662227201-46648573979-64646226163-77505759394-75470094713-41097360717-15161106334-50535565977"}}}
	textAnswer, _ := wire.AppendTextResult(nil, 1, wiretest.Capabilities, wire.Autocommit, columns, rows)
	var binaryAnswer []byte
	seq := byte(1)
	end := (&wire.OK{Status: wire.Autocommit}).Append(nil, 0xfe, wiretest.Capabilities)
	for _, p := range [][]byte{{1}, columns[0].Append(nil, wiretest.Capabilities), binaryRow(rows[0]), end} {
		binaryAnswer, seq = wire.AppendPacket(binaryAnswer, seq, p)
	}
	return wiretest.NewServer(t, wiretest.Options{}, func(p *wiretest.Peer) error {
		for {
			b, err := p.ReadCommand()
			if err != nil {
				return nil
			}
			answer := textAnswer
			switch {
			case string(b) == "\x03DO 0":
				answer, _ = wire.AppendPacket(nil, 1, (&wire.OK{Status: wire.Autocommit}).Append(nil, 0, p.Capabilities))
			case len(b) > 4 && string(b[1:4]) == "SET":
				ok := wire.OK{Status: wire.Autocommit | wire.SessionStateChange, SessionChanges: varChange("sql_mode", "")}
				answer, _ = wire.AppendPacket(nil, 1, ok.Append(nil, 0, p.Capabilities))
			case wire.Command(b[0]) == wire.ComStmtPrepare:
				answer, seq := wire.AppendPacket(nil, 1, (&wire.StmtPrepareOK{StatementID: 9, Columns: 1, Params: 1}).Append(nil))
				for range 2 {
					answer, seq = wire.AppendPacket(answer, seq, columns[0].Append(nil, p.Capabilities))
				}
				if _, err := p.Write(answer); err != nil {
					return nil
				}
				continue
			case wire.Command(b[0]) == wire.ComStmtExecute:
				answer = binaryAnswer
			}
			p.Idle()
			if _, err := p.Write(answer); err != nil {
				return nil
			}
		}
	})
}

// roundTrip is a client that repeats one command with one answer.
type roundTrip struct {
	nc      net.Conn
	request []byte
	answer  []byte
}

func (rt *roundTrip) do(t testing.TB) {
	if _, err := rt.nc.Write(rt.request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(rt.nc, rt.answer); err != nil {
		t.Fatal(err)
	}
}

// roundTrips connects and learns the length of the answers.
func roundTrips(t testing.TB) map[string]*roundTrip {
	f := newQuickServer(t)
	r := newRig(t, func(s *setup) { s.replicas = 0 })
	if _, err := r.store.Add(backend.Spec{Address: f.Addr(), Role: backend.RoleRO, Weight: 1, MaxLag: backend.LagUnchecked}); err != nil {
		t.Fatal(err)
	}
	r.setAll(backend.Up)
	measure := func(c *client, request []byte) *roundTrip {
		if _, err := c.nc.Write(request); err != nil {
			t.Fatal(err)
		}
		n := 0
		c.Seq = 1
		for range 4 { // columns, definition, row, end
			b, err := c.packet()
			if err != nil {
				t.Fatal(err)
			}
			n += wire.HeaderSize + len(b)
		}
		_ = c.nc.SetDeadline(time.Time{}) // benchmarks take as long as they want
		return &roundTrip{c.nc, request, make([]byte, n)}
	}
	text, binary := r.connect(), r.connect()
	st := binary.prepare("SELECT c FROM sbtest1 WHERE id=?")
	_, _ = binary.nc.Write(request(wire.ComStmtExecute, executePacket(st.id, 0, true, "4711")))
	binary.Seq = 1
	for range 4 {
		if _, err := binary.packet(); err != nil {
			t.Fatal(err)
		}
	}
	nc, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	peer, err := wiretest.Login(nc, wiretest.Credentials{User: "app", Password: "pw"})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*roundTrip{
		"direct":  measure(&client{peer, t, nc}, request(wire.ComQuery, pointSelect)), // for comparison
		"text":    measure(text, request(wire.ComQuery, pointSelect)),
		"execute": measure(binary, request(wire.ComStmtExecute, executePacket(st.id, 0, false, "4711"))),
	}
}

func TestAStatementAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, rt := range roundTrips(t) {
		for range 100 {
			rt.do(t)
		}
		if n := testing.AllocsPerRun(2000, func() { rt.do(t) }); n != 0 {
			t.Errorf("%s: %v allocations per statement", name, n)
		}
	}
}

func BenchmarkPointSelect(b *testing.B) {
	for name, rt := range roundTrips(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rt.do(b)
			}
		})
	}
}
