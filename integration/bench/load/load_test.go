package load

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/telamondb/telamon/integration/bench/fakebackend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAQuantileIsWithinTheResolutionOfTheTrueOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var h Histogram
		bound := int64(1) << (5 + rng.IntN(40))
		values := make([]int64, 1000)
		for i := range values {
			values[i] = rng.Int64N(bound)
			h.Add(time.Duration(values[i]))
		}
		for _, q := range []float64{0.01, 0.5, 0.99, 1} {
			got := int64(h.Quantile(q))
			var below, atLeast int
			for _, v := range values {
				if v <= got {
					below++
				}
				if float64(v) >= float64(got)*(1-1.0/64)-1 {
					atLeast++
				}
			}
			if float64(below) < q*1000-0.5 || atLeast < 1000-int(q*1000) {
				t.Fatalf("bound %d: quantile %g is %d: %d values are not above it, %d not below", bound, q, got, below, atLeast)
			}
		}
	}
}

func TestEveryBucketEndsWhereTheNextBegins(t *testing.T) {
	for i := range buckets - 1 {
		if got := bucketOf(upperBound(i)); got != i {
			t.Fatalf("the upper bound of bucket %d is in bucket %d", i, got)
		}
		if got := bucketOf(upperBound(i) + 1); got != i+1 {
			t.Fatalf("the value after bucket %d is in bucket %d", i, got)
		}
	}
}

func TestAHistogramSurvivesJSONAndMerge(t *testing.T) {
	var a, b, back Histogram
	a.Add(3)
	a.Add(time.Hour)
	b.Add(-5)
	b.Add(time.Hour)
	a.Merge(&b)
	text, err := json.Marshal(&a)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back != a || back.Count() != 4 || back.Quantile(0.25) != 0 || back.Quantile(0.5) != 3 {
		t.Errorf("after JSON %s: %d values, quartile %s, median %s", text, back.Count(), back.Quantile(0.25), back.Quantile(0.5))
	}
	if err := json.Unmarshal([]byte("[[100000,1]]"), &back); err == nil {
		t.Error("a bucket that does not exist was accepted")
	}
}

var who = Login{User: "bench", Password: "secret", Schema: "bench"}

func startFake(t *testing.T, opt fakebackend.Options) *fakebackend.Server {
	t.Helper()
	opt.Password = who.Password
	s, err := fakebackend.Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestEveryWorkloadGetsItsOwnAnswers(t *testing.T) {
	for _, flavour := range []fakebackend.Flavour{fakebackend.MySQL, fakebackend.MariaDB} {
		s := startFake(t, fakebackend.Options{Flavour: flavour})
		for _, w := range Workloads() {
			t.Run(flavour.String()+" "+w.Name, func(t *testing.T) {
				cfg := Config{Addr: s.Addr(), Login: who, Workload: w, Connections: 7, Operations: 100}
				res, err := Run(t.Context(), cfg, func() error { return nil })
				if err != nil {
					t.Fatal(err)
				}
				if res.Operations != 100 || res.Latency.Count() != 100 || res.Statements != uint64(100*w.Statements) {
					t.Errorf("%d operations, %d latencies, %d statements", res.Operations, res.Latency.Count(), res.Statements)
				}
			})
		}
		if got := s.Counts().Unknown; got != 0 {
			t.Errorf("the server did not know %d statements", got)
		}
	}
}

func TestADurationEndsTheLoad(t *testing.T) {
	s := startFake(t, fakebackend.Options{})
	for _, name := range []string{"point-text", "connect"} {
		w, err := WorkloadNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		cfg := Config{Addr: s.Addr(), Login: who, Workload: w, Connections: 3, Duration: 50 * time.Millisecond}
		res, err := Run(t.Context(), cfg, func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if res.Elapsed < cfg.Duration || res.Operations == 0 {
			t.Errorf("%s: %d operations in %s", name, res.Operations, res.Elapsed)
		}
	}
}

func TestAWrongPasswordIsTheServersError(t *testing.T) {
	s := startFake(t, fakebackend.Options{})
	w, _ := WorkloadNamed("point-text")
	cfg := Config{Addr: s.Addr(), Login: Login{User: "bench", Password: "wrong"}, Workload: w, Connections: 1, Operations: 1}
	_, err := Run(t.Context(), cfg, func() error { return nil })
	if err == nil || !strings.Contains(err.Error(), "error 1045") {
		t.Errorf("got %v", err)
	}
}

func TestIdleClientsStayConnected(t *testing.T) {
	s := startFake(t, fakebackend.Options{})
	h := NewIdle(s.Addr(), who)
	defer h.Close()
	for _, total := range []int{3, 50} {
		if err := h.Grow(t.Context(), total); err != nil {
			t.Fatal(err)
		}
		if got := s.Counts(); got.Connections != uint64(total) || got.Reads != uint64(total) {
			t.Errorf("%d connections, %d reads, want %d of both", got.Connections, got.Reads, total)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Grow(ctx, 51); err == nil {
		t.Error("a cancelled Grow gave no error")
	}
}

// answer captures the bytes the fake sends for a request.
func answer(t testing.TB, r request, deprecateEOF bool) []byte {
	t.Helper()
	s, err := fakebackend.Start(fakebackend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rec := &recorder{Conn: conn}
	c, err := handshake(rec, Login{User: "bench", OldEOF: !deprecateEOF})
	if err != nil {
		t.Fatal(err)
	}
	rec.bytes = nil
	if err := c.do(r); err != nil {
		t.Fatal(err)
	}
	return rec.bytes
}

// recorder keeps what is read.
type recorder struct {
	net.Conn
	bytes []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.bytes = append(r.bytes, p[:n]...)
	return n, err
}

func TestAnAnswerCutAnywhereIsTheSameAnswer(t *testing.T) {
	for _, deprecate := range []bool{false, true} {
		for _, r := range []request{rangeText(0)[0], pointText(1)[0], updateRow(1)} {
			bytes := answer(t, r, deprecate)
			for chunk := 1; chunk < 12; chunk++ {
				s := scanner{deprecateEOF: deprecate}
				s.start(r.want)
				for at := 0; at < len(bytes); at += chunk {
					end := min(at+chunk, len(bytes))
					done, err := s.feed(bytes[at:end])
					if err != nil || done != (end == len(bytes)) {
						t.Fatalf("%s, chunks of %d, at %d of %d: done %t, %v", r.name, chunk, end, len(bytes), done, err)
					}
				}
			}
		}
	}
}

func TestADifferentAnswerIsAnError(t *testing.T) {
	right := answer(t, pointText(0)[0], true)
	change := func(f func(p []byte) []byte) []byte { return f(append([]byte(nil), right...)) }
	status := len(right) - 4
	for name, p := range map[string][]byte{
		"a byte of the row":      change(func(p []byte) []byte { p[status-30]++; return p }),
		"in a transaction":       change(func(p []byte) []byte { p[status] |= 1; return p }),
		"more results":           change(func(p []byte) []byte { p[status] |= 8; return p }),
		"a sequence number":      change(func(p []byte) []byte { p[3]++; return p }),
		"bytes after the end":    change(func(p []byte) []byte { return append(p, 0) }),
		"an OK instead":          packet(1, []byte{0, 0, 0, 2, 0, 0, 0}),
		"an error":               packet(1, []byte("\xff\x28\x04#42000Syntax")),
		"another point's row":    answer(t, pointText(1)[0], true),
		"a hundred rows":         answer(t, rangeText(0)[0], true),
		"an empty packet":        {0, 0, 0, 1},
		"a truncated final OK":   packet(1, []byte{0, 0}),
		"a LOCAL INFILE request": packet(1, []byte("\xfbfile")),
	} {
		s := scanner{deprecateEOF: true}
		s.start(pointText(0)[0].want)
		if _, err := s.feed(p); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s := scanner{deprecateEOF: true}
	s.start(expect{})
	_, err := s.feed(packet(1, []byte("\xff\x28\x04#42000Syntax")))
	if diff := cmp.Diff("server: error 1064: Syntax", err.Error()); diff != "" {
		t.Error(diff)
	}
}

func FuzzScannerTakesAnyBytes(f *testing.F) {
	f.Add(answer(f, rangeText(0)[0], true), true, uint8(3))
	f.Add(answer(f, pointText(0)[0], false), false, uint8(7))
	f.Fuzz(func(t *testing.T, p []byte, deprecate bool, chunk uint8) {
		whole, pieces := scanner{deprecateEOF: deprecate}, scanner{deprecateEOF: deprecate}
		whole.start(pointText(0)[0].want)
		pieces.start(pointText(0)[0].want)
		wholeDone, wholeErr := whole.feed(p)
		var done bool
		var err error
		for step := int(chunk) + 1; len(p) > 0 && err == nil; {
			n := min(step, len(p))
			done, err = pieces.feed(p[:n])
			p = p[n:]
		}
		if done && err == nil != (wholeDone && wholeErr == nil) || (err == nil) != (wholeErr == nil) {
			t.Fatalf("whole: %t, %v; in pieces: %t, %v", wholeDone, wholeErr, done, err)
		}
	})
}
