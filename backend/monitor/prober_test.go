package monitor

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/backend"
)

// fake listens on loopback and hands each connection to serve, which owns it.
func fake(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// errPacket is an ERR packet as a server sends it in place of its greeting:
// before the capabilities are known there is no SQLSTATE.
func errPacket(number uint16, text string) []byte {
	body := append([]byte{0xff, byte(number), byte(number >> 8)}, text...)
	return append([]byte{byte(len(body)), 0, 0, 0}, body...)
}

func server(t *testing.T, address string) *backend.Server {
	t.Helper()
	s, err := backend.NewStore([]backend.Spec{{Address: address}})
	if err != nil {
		t.Fatal(err)
	}
	return s.Load().States[0].Server
}

func probeOnce(t *testing.T, address string) Observation {
	t.Helper()
	p := NewSQLProber(server(t, address))
	defer p.Close()
	cfg := DefaultConfig()
	cfg.Timeout = 200 * time.Millisecond
	start := time.Now()
	obs := p.Probe(t.Context(), cfg)
	if took := time.Since(start); took > 5*cfg.Timeout {
		t.Errorf("the probe took %s with a timeout of %s", took, cfg.Timeout)
	}
	if (obs.Err == nil) != (obs.Failure == OK) {
		t.Errorf("failure %d with error %v", obs.Failure, obs.Err)
	}
	return obs
}

func TestWhatSickServersLookLike(t *testing.T) {
	var open []net.Conn // connections a fake keeps without a word
	t.Cleanup(func() {
		for _, c := range open {
			_ = c.Close()
		}
	})
	send := func(b []byte) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Write(b)
			_ = c.Close()
		}
	}
	reset := func(c net.Conn) {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	tests := []struct {
		name  string
		serve func(net.Conn)
		want  Failure
	}{
		{"accepts and never greets", func(c net.Conn) { open = append(open, c) }, Timeout},
		{"starts a packet and never ends it", func(c net.Conn) {
			_, _ = c.Write([]byte{0xff, 0xff, 0xff, 0, 10})
			open = append(open, c)
		}, Timeout},
		{"closes at once", send(nil), Refused},
		{"resets at once", reset, Refused},
		{"speaks HTTP", send([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")), Broken},
		{"greets with nonsense", send([]byte{5, 0, 0, 0, 1, 2, 3, 4, 5}), Protocol},
		{"has too many connections", send(errPacket(1040, "Too many connections")), TooMany},
		{"blocks this host", send(errPacket(1129, "Host is blocked")), Blocked},
		{"does not know this host", send(errPacket(1130, "Host is not allowed")), Auth},
		{"is shutting down", send(errPacket(1053, "Server shutdown in progress")), ShuttingDown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if obs := probeOnce(t, fake(t, tt.serve)); obs.Failure != tt.want {
				t.Errorf("failure %d (%v), want %d", obs.Failure, obs.Err, tt.want)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	for _, a := range []string{address, "unix:" + filepath.Join(t.TempDir(), "none.sock")} {
		if obs := probeOnce(t, a); obs.Failure != Refused {
			t.Errorf("%s: failure %d (%v)", a, obs.Failure, obs.Err)
		}
	}
}

func TestAProbeEndsWithItsContext(t *testing.T) {
	var open net.Conn
	accepted := make(chan struct{})
	address := fake(t, func(c net.Conn) { open = c; close(accepted) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-accepted
		cancel()
	}()
	p := NewSQLProber(server(t, address))
	defer p.Close()
	cfg := DefaultConfig()
	cfg.Timeout = time.Hour
	if obs := p.Probe(ctx, cfg); obs.Failure == OK {
		t.Error("a server that says nothing is fine")
	}
	_ = open.Close()
}

func TestNamesAreResolvedWithAMemory(t *testing.T) {
	address := fake(t, func(c net.Conn) { _ = c.Close() })
	_, port, _ := net.SplitHostPort(address)
	answer, failure := []string{"127.0.0.1"}, error(nil)
	d := newDialer("tcp", net.JoinHostPort("db.example", port))
	d.lookup = func(ctx context.Context, _ string) ([]string, error) {
		if failure == nil && answer == nil { // a resolver that hangs
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return answer, failure
	}
	dial := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		c, err := d.dial(ctx)
		if err == nil {
			_ = c.Close()
		}
		return err
	}

	failure = errors.New("no such host")
	if err := dial(); classify(t.Context(), err, d.last) != Resolve || !strings.Contains(err.Error(), "no such host") {
		t.Errorf("before the first answer: %v", err)
	}
	failure = nil
	if err := dial(); err != nil {
		t.Errorf("with an answer: %v", err)
	}
	failure = errors.New("SERVFAIL")
	if err := dial(); err != nil {
		t.Errorf("with the last answer: %v", err)
	}
	answer, failure = nil, nil
	if err := dial(); err != nil {
		t.Errorf("with a resolver that hangs: %v", err)
	}
	answer = []string{"192.0.2.1", "127.0.0.1"} // the first swallows or refuses
	if err := dial(); err != nil {
		t.Errorf("with a dead address before the live one: %v", err)
	}
}

func TestDialects(t *testing.T) {
	for version, want := range map[string]struct {
		flavor      backend.Flavor
		replication string
	}{
		"5.7.44-log":               {backend.MySQL, "SHOW SLAVE STATUS"},
		"8.0.21":                   {backend.MySQL, "SHOW SLAVE STATUS"},
		"8.0.22":                   {backend.MySQL, "SHOW REPLICA STATUS"},
		"8.0.36-28":                {backend.MySQL, "SHOW REPLICA STATUS"},
		"8.4.3":                    {backend.MySQL, "SHOW REPLICA STATUS"},
		"9.7.4-1":                  {backend.MySQL, "SHOW REPLICA STATUS"},
		"10.11.19-MariaDB-0+deb12": {backend.MariaDB, "SHOW ALL SLAVES STATUS"},
		"5.5.5-10.6.7-mariadb-log": {backend.MariaDB, "SHOW ALL SLAVES STATUS"},
		"":                         {backend.MySQL, "SHOW REPLICA STATUS"},
	} {
		d := dialectOf(version)
		if d.flavor != want.flavor || d.replication != want.replication {
			t.Errorf("%q: %s, %s", version, d.flavor, d.replication)
		}
	}
}

// FuzzServerText feeds what a server can put into its answers.
func FuzzServerText(f *testing.F) {
	for _, s := range []string{"8.0.22", "10.11.19-MariaDB", "9", "99999999999999999999.1", ".", "bin.000001", "bin.", "-1"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		d := dialectOf(a)
		if d.identity == "" || d.replication == "" {
			t.Errorf("version %q: nothing to ask", a)
		}
		p, q := LogPos{File: a, Pos: 1}, LogPos{File: b, Pos: 1}
		forth, comparable := p.reached(q)
		back, same := q.reached(p)
		if comparable != same || comparable && !forth && !back {
			t.Errorf("positions in %q and %q: %t %t, %t %t", a, b, forth, comparable, back, same)
		}
		names := []string{"Seconds_Behind_Master", "Read_Master_Log_Pos", "Master_Server_Id", "Slave_IO_Running"}
		values := []driver.Value{[]byte(a), []byte(b), nil, a}
		if ch := channelOf(newRow(names, values)); ch.Lag < 0 {
			t.Errorf("lag %q is %s", a, ch.Lag)
		}
	})
}
