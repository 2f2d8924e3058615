package fakebackend

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/bench/dataset"
)

// peer is a raw client.
type peer struct {
	t    *testing.T
	conn net.Conn
}

func newPeer(t *testing.T, opt Options, caps uint32) *peer {
	t.Helper()
	s, err := Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); s.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: conn}
	p.read() // greeting
	login := binary.LittleEndian.AppendUint32(nil, caps|capProtocol41|capSecureConn)
	login = append(login, make([]byte, 28)...)
	p.write(1, append(login, "app\x00\x00"...))
	if got := p.read(); got[0] != 0 {
		t.Fatalf("login: %q", got)
	}
	return p
}

func (p *peer) write(seq byte, payload []byte) {
	p.t.Helper()
	n := len(payload)
	if _, err := p.conn.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}, payload...)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) read() []byte {
	p.t.Helper()
	var header [4]byte
	if _, err := io.ReadFull(p.conn, header[:]); err != nil {
		p.t.Fatal(err)
	}
	payload := make([]byte, int(header[0])|int(header[1])<<8|int(header[2])<<16)
	if _, err := io.ReadFull(p.conn, payload); err != nil {
		p.t.Fatal(err)
	}
	return payload
}

// command sends one command and returns the first packet of the answer.
func (p *peer) command(com byte, body string) []byte {
	p.t.Helper()
	p.write(0, append([]byte{com}, body...))
	return p.read()
}

// statusOf reads the flags of an OK without counters above 250.
func statusOf(ok []byte) uint16 { return binary.LittleEndian.Uint16(ok[3:]) }

func TestStatusFlagsFollowTheTransaction(t *testing.T) {
	p := newPeer(t, Options{}, 0)
	for _, step := range []struct {
		query string
		want  uint16
	}{
		{"BEGIN", statusAutocommit | statusInTrans},
		{dataset.Update(1), statusAutocommit | statusInTrans},
		{"COMMIT", statusAutocommit},
		{"SET autocommit=0", 0},
		{dataset.Update(1), statusInTrans},
		{"ROLLBACK", 0},
		{"SET autocommit=1", statusAutocommit},
	} {
		if got := statusOf(p.command(comQuery, step.query)); got != step.want {
			t.Errorf("after %s: status %#x, want %#x", step.query, got, step.want)
		}
	}
	p.command(comQuery, "BEGIN")
	last := p.command(comQuery, dataset.Point(3))
	for range 4 { // definition, EOF, row, EOF
		last = p.read()
	}
	if got := binary.LittleEndian.Uint16(last[3:]); got != statusAutocommit|statusInTrans {
		t.Errorf("EOF of a select in a transaction: status %#x", got)
	}
	if got := statusOf(p.command(comResetConnection, "")); got != statusAutocommit {
		t.Errorf("after COM_RESET_CONNECTION: status %#x", got)
	}
}

func TestCommitsCarryTheirGTIDWhenAskedFor(t *testing.T) {
	for _, c := range []struct {
		flavour Flavour
		ask     string
		want    string
	}{
		{MySQL, "SET SESSION session_track_gtids = 'OWN_GTID'", "\x2a\x03\x28\x00\x26" + serverUUID + ":2"},
		{MariaDB, "SET session_track_system_variables='autocommit,last_gtid'", "\x12\x00\x10\x09last_gtid\x050-1-2"},
	} {
		p := newPeer(t, Options{Flavour: c.flavour}, capSessionTrack)
		if got := p.command(comQuery, dataset.Update(1)); statusOf(got)&statusSessionChanged != 0 {
			t.Errorf("%s: a GTID before it was asked for: %q", c.flavour, got)
		}
		p.command(comQuery, c.ask)
		got := p.command(comQuery, dataset.Update(1))
		if state := string(got[8:]); state != c.want || statusOf(got)&statusSessionChanged == 0 {
			t.Errorf("%s: session state %q, want %q", c.flavour, state, c.want)
		}
		p.command(comQuery, "BEGIN")
		if got := p.command(comQuery, dataset.Update(1)); statusOf(got)&statusSessionChanged != 0 {
			t.Errorf("%s: a GTID before the commit: %q", c.flavour, got)
		}
		if got := p.command(comQuery, "COMMIT"); statusOf(got)&statusSessionChanged == 0 {
			t.Errorf("%s: no GTID at the commit: %q", c.flavour, got)
		}
	}
}

func TestVariablesAreReportedAsAsked(t *testing.T) {
	p := newPeer(t, Options{Flavour: MariaDB}, capSessionTrack)
	for _, step := range []struct {
		query string
		want  []string // names and values in turn
	}{
		{"SET sql_mode='ANSI'", nil},
		{"SET autocommit=1", []string{"autocommit", "ON"}},
		{"SET SESSION session_track_system_variables='sql_mode,time_zone', @@session.sql_mode = 'ANSI,TRADITIONAL', time_zone='+00:00'",
			[]string{"sql_mode", "ANSI,TRADITIONAL", "time_zone", "+00:00"}},
		{"SET SESSION session_track_system_variables='*',session_track_schema=1,lc_time_names='de_DE'",
			[]string{"session_track_schema", "1", "lc_time_names", "de_DE"}},
		{"SET wait_timeout=@@session.wait_timeout", []string{"wait_timeout", "28800"}},
		{"SET @user=1", nil},
		{"SET GLOBAL sql_mode=''", nil},
		{"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil},
	} {
		var want []byte
		for i := 0; i < len(step.want); i += 2 {
			want = append(want, stateItem(trackSystemVariables, appendString(appendString(nil, step.want[i]), step.want[i+1]))...)
		}
		got := p.command(comQuery, step.query)
		if len(got) <= 9 {
			got = nil
		} else {
			got = got[9:]
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: session state %q, want %q", step.query, got, want)
		}
	}
}

func TestInitDBReportsTheSchema(t *testing.T) {
	p := newPeer(t, Options{}, capSessionTrack)
	want := []byte("\x00\x00\x00\x02\x40\x00\x00\x00\x07\x01\x05\x04shop")
	if got := p.command(comInitDB, "shop"); !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	p := newPeer(t, Options{}, capDeprecateEOF)
	// More output than a socket buffer takes, so that input has to wait.
	const results = 20
	for i := range results {
		q := append([]byte{comQuery}, dataset.Wide...)
		p.write(0, q)
		p.write(0, append([]byte{comQuery}, dataset.Point(i+1)...))
	}
	for i := range results {
		for range 1 + 1 + dataset.WideRows + 1 {
			p.read()
		}
		p.read()
		p.read()
		if got := p.read(); string(got[1:]) != dataset.C(i+1) {
			t.Fatalf("answer %d: %q", i, got)
		}
		p.read()
	}
}

func TestACommandNobodyKnowsIsError1047(t *testing.T) {
	p := newPeer(t, Options{}, 0)
	if got := p.command(0x7f, ""); got[0] != 0xff || binary.LittleEndian.Uint16(got[1:]) != 1047 {
		t.Errorf("got %q", got)
	}
	if got := p.command(comPing, ""); got[0] != 0 {
		t.Errorf("ping afterwards: %q", got)
	}
}

func FuzzASessionSurvivesAnyCommands(f *testing.F) {
	f.Add(byte(comQuery), []byte(dataset.Point(7)))
	f.Add(byte(comStmtPrepare), []byte("UPDATE bench SET k=k+1 WHERE id=?"))
	f.Add(byte(comStmtExecute), []byte("\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x08\x00\x05\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(byte(comChangeUser), []byte("app\x00\x00bench\x00"))
	f.Add(byte(comQuery), []byte("SELECT @@a, 'b,"))
	s := &Server{replies: allReplies(), sessions: map[int32]*session{}}
	f.Fuzz(func(t *testing.T, com byte, body []byte) {
		// A descriptor that does not exist: the first write drops the session,
		// so the rest of the command runs without output.
		c := &session{server: s, fd: -1, phase: phaseCommands, status: statusAutocommit}
		c.prepare([]byte(dataset.PointPrefix + "?"))
		c.command(com, body)
	})
}
