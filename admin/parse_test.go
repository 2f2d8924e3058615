package admin

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/telamondb/telamon/wire"
)

func TestScanCutsWordsAtBlanksQuotesAndPunctuation(t *testing.T) {
	tests := []struct {
		name, src string
		want      []string
	}{
		{"an address is one word", "add slave 10.0.0.1:3306@5", []string{"add", "slave", "10.0.0.1:3306@5"}},
		{"a socket path is one word", "unix:/run/a/b.sock", []string{"unix:/run/a/b.sock"}},
		{"a comment ends a word", "a/*x*/b", []string{"a", "b"}},
		{"dashes inside a word are no comment", "db--1:3306", []string{"db--1:3306"}},
		{"dashes without a blank are no comment", "--1", []string{"--1"}},
		{"dashes and a control character are a comment", "a --\x01 b", []string{"a"}},
		{"control characters separate", "a\x00b\x1bc", []string{"a", "b", "c"}},
		{"operators of two characters stay together", "a<=b<>c!=1", []string{"a", "<=", "b", "<>", "c", "!=", "1"}},
		{"a doubled quote stands for itself", `'it''s'`, []string{"it's"}},
		{"a backslash escapes", `'it\'s' "a\\b"`, []string{"it's", `a\b`}},
		{"a backslash stays before LIKE's wildcards", `'a\_b'`, []string{`a\_b`}},
		{"nothing", " \n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tokens, err := scan(tt.src)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, tok := range tokens[:len(tokens)-1] {
				got = append(got, tok.text)
			}
			if strings.Join(got, "\x00") != strings.Join(tt.want, "\x00") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// likeByRegexp is the dumb twin of like.
func likeByRegexp(s, pattern string) bool {
	var re strings.Builder
	re.WriteString("(?s)^")
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '%':
			re.WriteString(".*")
		case c == '_':
			re.WriteString(".")
		case c == '\\' && i+1 < len(pattern):
			i++
			re.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		default:
			re.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return regexp.MustCompile(re.String() + "$").MatchString(s)
}

// TestLikeAgreesWithRegexp tries every text and pattern over a small alphabet.
func TestLikeAgreesWithRegexp(t *testing.T) {
	var words func(alphabet string, n int) []string
	words = func(alphabet string, n int) []string {
		if n == 0 {
			return []string{""}
		}
		all := []string{""}
		for _, w := range words(alphabet, n-1) {
			for _, c := range alphabet {
				all = append(all, w+string(c))
			}
		}
		return all
	}
	for _, p := range words(`a%_\`, 4) {
		for _, s := range words("ab%", 3) {
			if got, want := like(s, p), likeByRegexp(s, p); got != want {
				t.Fatalf("%q LIKE %q = %v, want %v", s, p, got, want)
			}
		}
	}
}

func TestLikeIsNotExponential(t *testing.T) {
	done := make(chan bool, 1)
	go func() { done <- like(strings.Repeat("a", 20000), strings.Repeat("%a", 50)+"%b") }()
	select {
	case got := <-done:
		if got {
			t.Error("matched")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
	}
}

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		for range maxFailures {
			if th.failed("a") {
				t.Fatal("blocked too early")
			}
		}
		time.Sleep(blockTime + time.Nanosecond) // forgotten
		for range maxFailures {
			th.failed("a")
		}
		if _, blocked := th.blocked("a"); blocked {
			t.Fatal("ten failures block")
		}
		time.Sleep(blockTime / 2)
		if !th.failed("a") {
			t.Fatal("the eleventh does not block")
		}
		if _, blocked := th.blocked("b"); blocked {
			t.Error("another address is blocked as well")
		}
		time.Sleep(blockTime - time.Second)
		if wait, blocked := th.blocked("a"); !blocked || wait != time.Second {
			t.Errorf("blocked %v for another %v, want 1s", blocked, wait)
		}
		time.Sleep(time.Second)
		if _, blocked := th.blocked("a"); blocked {
			t.Error("blocked for more than a minute")
		}
	})
}

func TestThrottleForgetsRatherThanGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		for range maxFailures + 1 {
			th.failed("attacker")
		}
		for i := range maxTracked + 100 {
			th.failed(fmt.Sprint(i))
		}
		if len(th.hosts) > maxTracked {
			t.Errorf("%d addresses kept", len(th.hosts))
		}
		if _, blocked := th.blocked("attacker"); !blocked {
			t.Error("a blocked address was freed by making noise from others")
		}
	})
}

func TestAuditMasksPasswordsAndKeepsToOneLine(t *testing.T) {
	tests := []struct {
		name, statement, want string
	}{
		{"raw password", "add pwd app:hunter2", "ADD PWD ***"},
		{"password with punctuation", "add pwd app:(hunter2)=, 'x'", "ADD PWD ***"},
		{"encrypted password", "add enpwd app:hunter2==", "ADD ENPWD ***"},
		{"control characters in a name", "remove pwd 'a\r\n\x1b[31mhunter'", "REMOVE PWD a\r\n\x1b[31mhunter"},
		{"an endless name", "remove client " + strings.Repeat("x", 100000), "REMOVE CLIENT " + strings.Repeat("x", 256) + "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			run(r.open(t, nil), tt.statement)
			lines := r.logs.FilterMessage("console command").All()
			if len(lines) != 1 || lines[0].ContextMap()["command"] != tt.want {
				t.Fatalf("got %v, want %q", lines, tt.want)
			}
			written, err := zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()).EncodeEntry(lines[0].Entry, lines[0].Context)
			if err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(strings.TrimSuffix(written.String(), "\n"), "\r\n\x1b") {
				t.Errorf("the log line is broken: %q", written.String())
			}
		})
	}
}

// fuzzSession is a session without a connection.
func fuzzSession() *session {
	p := &fakeProxy{}
	c := NewConsole(ConsoleConfig{Version: "1", Log: zap.NewNop()},
		Deps{Backends: atlasBackends(), Pools: p, Routes: p, Sessions: p, Access: p, Config: p, Counters: p})
	return &session{console: c, ctx: context.Background(), caps: capabilities, user: "u", host: "h"}
}

func addSeeds(f *testing.F) {
	for _, c := range commands() {
		f.Add(strings.ReplaceAll(c.pattern, "$", "1"))
		f.Add(c.pattern + " WHERE a = 'b' AND c IS NOT NULL ORDER BY d DESC LIMIT 1, 2")
	}
	f.Add("/* a */ select @@x as 'y', 1, f() from dual limit 1; -- b")
	f.Add("set session a := concat('(', \")\"), names 'utf8'")
	f.Add("show variables like '%\\_a'")
	f.Add("select `")
}

func FuzzScan(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, src string) {
		tokens, err := scan(src)
		if err != nil {
			return
		}
		at := 0
		for i, tok := range tokens {
			last := i == len(tokens)-1
			if tok.pos < at || tok.end < tok.pos || tok.end > len(src) || (tok.kind == tokenEnd) != last {
				t.Fatalf("token %d of %q is %+v", i, src, tok)
			}
			at = tok.end
		}
		for _, s := range split(tokens) {
			if len(s) < 2 || s[len(s)-1].kind != tokenEnd {
				t.Fatalf("statement %+v of %q", s, src)
			}
		}
	})
}

// FuzzExecute asserts that every statement is answered with a table that fits
// its columns, an OK, or an error a client can read.
func FuzzExecute(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, src string) {
		tokens, err := scan(src)
		if err != nil {
			return
		}
		s := fuzzSession()
		for _, statement := range split(tokens) {
			result, err := s.execute(statement)
			if err != nil {
				if e := asWire(err); e.Message == "" || len(e.Message) > 1024 || len(e.State) != 5 {
					t.Fatalf("%q: %+v", src, e)
				}
				continue
			}
			if result == nil {
				continue
			}
			if len(result.columns) == 0 {
				t.Fatalf("%q: a table without columns", src)
			}
			for _, row := range result.rows {
				if len(row) != len(result.columns) {
					t.Fatalf("%q: %d values in %d columns", src, len(row), len(result.columns))
				}
			}
		}
	})
}

// FuzzCommand asserts that whatever a client that has logged in sends is
// answered, or is a command that has no answer, and ends nothing but its own
// connection.
func FuzzCommand(f *testing.F) {
	for c := range 0x20 {
		f.Add(append([]byte{byte(c)}, "select version; kill 1"...))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) == 0 || wire.Command(packet[0]) == wire.ComQuit {
			return
		}
		sent := &sink{}
		s := fuzzSession()
		s.conn = wire.NewConn(sent)
		s.conn.Seq = 1
		if err := s.command(wire.Command(packet[0]), packet[1:]); err != nil {
			t.Fatal(err)
		}
		silent := wire.Command(packet[0]) == wire.ComStmtClose || wire.Command(packet[0]) == wire.ComStmtSendLongData
		if (sent.n == 0) != silent {
			t.Fatalf("%q was answered with %d bytes", packet, sent.n)
		}
	})
}

// sink is a connection that takes everything.
type sink struct {
	net.Conn
	n int
}

func (s *sink) Write(p []byte) (int, error) { s.n += len(p); return len(p), nil }

// TestLargeStatementsTakeLinearTime feeds packets as large as people never
// send; the limit is far above what they take and far below quadratic.
func TestLargeStatementsTakeLinearTime(t *testing.T) {
	for _, piece := range []string{
		"(", "'", "/*", "/**/", "--", "a ", "a,", ";", "1;", "''", "select 1;", "kill 1;", "@@version,", "a=1 and ",
		"select * from help;",
	} {
		for _, start := range []string{"", "select ", "set names ", "select * from backends where ", "explain route ", "add pwd "} {
			src := start + strings.Repeat(piece, maxStatement/8/len(piece))
			s := fuzzSession()
			s.conn = wire.NewConn(&sink{})
			begin := time.Now()
			if err := s.query(src); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("%s%s...: %v", start, piece, took)
			}
		}
	}
}
