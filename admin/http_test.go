package admin

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

var rewriteGolden = flag.Bool("rewrite-golden", false, "write the golden files of this package anew")

// web is an HTTP in front of fakes, called without a network.
type web struct {
	*HTTP
	backends *fakeBackends
	proxy    *fakeProxy
	logs     *observer.ObservedLogs
}

func newWeb() *web {
	core, logs := observer.New(zap.DebugLevel)
	w := &web{backends: atlasBackends(), logs: logs, proxy: &fakeProxy{processes: []Process{
		{ID: 7, User: "<i>app</i>", Host: "10.0.0.9:40000", Command: "Query", Info: `SELECT '<script>alert("x")</script>'`},
	}}}
	p := w.proxy
	deps := Deps{Backends: w.backends, Pools: p, Routes: p, Sessions: p, Access: p, Config: p, Counters: p, Readiness: p}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector("1.2.3", deps), NewConsole(ConsoleConfig{Log: zap.NewNop()}, deps))
	w.HTTP = NewHTTP(HTTPConfig{
		Credentials: Credentials{"admin", "secret"}, Instance: "main", Version: "1.2.3",
		Gatherer: registry, Log: zap.New(core),
	}, deps)
	return w
}

// get asks for path from an address, with a password unless it is empty.
func (w *web) get(path, from, password string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = from
	if password != "" {
		r.SetBasicAuth("admin", password)
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

const (
	local  = "127.0.0.1:50000"
	remote = "192.0.2.7:50000"
)

func TestWhoSeesWhat(t *testing.T) {
	tests := []struct {
		name, path, from, password string
		want                       int
	}{
		{"the status page wants a password", "/", local, "", 401},
		{"the status page refuses a wrong password", "/", local, "wrong", 401},
		{"the status page opens with the password", "/", remote, "secret", 200},
		{"the stylesheet wants the password too", "/style.css", local, "", 401},
		{"the stylesheet opens with the password", "/style.css", local, "secret", 200},
		{"the API wants a password", "/api/v1/backends", local, "", 401},
		{"the API refuses a wrong password", "/api/v1/sessions", remote, "wrong", 401},
		{"the API opens with the password", "/api/v1/backends", remote, "secret", 200},
		{"sessions through the API", "/api/v1/sessions", local, "secret", 200},
		{"routes through the API", "/api/v1/routes", local, "secret", 200},
		{"pools through the API", "/api/v1/pools", local, "secret", 200},
		{"metrics are open on this machine", "/metrics", local, "", 200},
		{"metrics are open over IPv6 loopback", "/metrics", "[::1]:50000", "", 200},
		{"metrics are open over mapped loopback", "/metrics", "[::ffff:127.0.0.1]:50000", "", 200},
		{"metrics are closed elsewhere", "/metrics", remote, "", 401},
		{"metrics open with the password", "/metrics", remote, "secret", 200},
		{"health is open", "/healthz", remote, "", 200},
		{"readiness is open", "/readyz", remote, "", 200},
		{"there is nothing else", "/debug/pprof/", local, "secret", 404},
		{"the page's files are not a folder", "/page/status.html", local, "secret", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := newWeb().get(tt.path, tt.from, tt.password)
			if rec.Code != tt.want {
				t.Errorf("%d, want %d", rec.Code, tt.want)
			}
			if challenge := rec.Header().Get("WWW-Authenticate"); (challenge != "") != (tt.want == 401) {
				t.Errorf("WWW-Authenticate: %q", challenge)
			}
			if rec.Header().Get("Content-Security-Policy") == "" {
				t.Error("no Content-Security-Policy")
			}
		})
	}
}

func TestForwardingHeadersDoNotMakeALoopbackClient(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.RemoteAddr = remote
	r.Header.Set("X-Forwarded-For", "127.0.0.1")
	r.Header.Set("X-Real-IP", "127.0.0.1")
	rec := httptest.NewRecorder()
	newWeb().handler.ServeHTTP(rec, r)
	if rec.Code != http.StatusUnauthorized {
		t.Errorf("%d, want 401", rec.Code)
	}
}

func TestNothingCanBeChangedOverHTTP(t *testing.T) {
	w := newWeb()
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		for _, path := range []string{"/", "/api/v1/backends", "/metrics", "/healthz"} {
			r := httptest.NewRequest(method, path, nil)
			r.SetBasicAuth("admin", "secret")
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, r)
			if rec.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d, want 405", method, path, rec.Code)
			}
		}
	}
}

func TestAnEmptyPasswordClosesThePage(t *testing.T) {
	w := newWeb()
	w.SetCredentials(Credentials{Username: "admin"})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth("admin", "")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	if rec.Code != http.StatusUnauthorized {
		t.Errorf("%d, want 401", rec.Code)
	}
}

func TestTooManyWrongPasswordsBlockTheAddress(t *testing.T) {
	w := newWeb()
	for range maxFailures + 1 {
		if rec := w.get("/", remote, "wrong"); rec.Code != http.StatusUnauthorized {
			t.Fatalf("%d before the block", rec.Code)
		}
	}
	rec := w.get("/", remote, "secret")
	if rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q; want 429", rec.Code, rec.Header().Get("Retry-After"))
	}
	if rec := w.get("/", local, "secret"); rec.Code != http.StatusOK {
		t.Errorf("another address: %d", rec.Code)
	}
	if n := w.logs.FilterMessageSnippet("blocks an address").Len(); n != 1 {
		t.Errorf("%d lines about the block, want 1", n)
	}
}

func TestReadinessSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name     string
		backends []Backend
		process  error
		status   int
		body     string
	}{
		{"a primary is up", atlasBackends().list, nil, 200, "ready\n"},
		{"only a replica", []Backend{{Address: "r:1", Type: TypeReplica, State: StateUp}}, nil, 503, "no primary is configured\n"},
		{"the primary is down", []Backend{{Address: "p:1", Type: TypePrimary, State: StateDown, Reason: "connection refused"}}, nil, 503, "primary p:1 is down: connection refused\n"},
		{"one of two primaries is up", []Backend{{Address: "p:1", Type: TypePrimary, State: StateDown}, {Address: "p:2", Type: TypePrimary, State: StateUp}}, nil, 200, "ready\n"},
		{"the process drains", atlasBackends().list, errors.New("shutting down"), 503, "shutting down\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb()
			w.backends.list, w.proxy.unready = tt.backends, tt.process
			rec := w.get("/readyz", remote, "")
			if rec.Code != tt.status || rec.Body.String() != tt.body {
				t.Errorf("%d %q, want %d %q", rec.Code, rec.Body, tt.status, tt.body)
			}
			if rec := w.get("/healthz", remote, ""); rec.Code != 200 {
				t.Errorf("healthz: %d", rec.Code)
			}
		})
	}
}

func TestTheStatusPageEscapesWhatClientsSend(t *testing.T) {
	body := newWeb().get("/", local, "secret").Body.String()
	if strings.Contains(body, "<script") || strings.Contains(body, "<i>app") {
		t.Error("text of a client is part of the page's HTML")
	}
	for _, want := range []string{
		"&lt;script&gt;", "192.168.1.150:3306", `<td class="good">up</td>`, "plain_read", "ready", "version 1.2.3",
		`<td class="null">–</td>`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
}

func TestTheStatusPageIsBounded(t *testing.T) {
	w := newWeb()
	w.proxy.processes = make([]Process, maxPageRows+50)
	if n := strings.Count(w.get("/", local, "secret").Body.String(), "<tr>"); n > maxPageRows+20 {
		t.Errorf("%d rows", n)
	}
}

func TestTheAPIKeepsTypes(t *testing.T) {
	var got []map[string]any
	if err := json.Unmarshal(newWeb().get("/api/v1/backends", local, "secret").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"backend_ndx": 2.0, "address": "192.168.1.101:3306", "state": "up", "type": "ro", "weight": 5.0,
		"lag_ms": 120.0, "reason": "", "since": "2023-11-14T22:13:20Z", "flavor": "MySQL", "version": "9.7.0",
		"connections": 0.0, "max_connections": 0.0, "statements": 77.0, "errors": 0.0, "tags": "report",
	}
	if len(got) != 2 || !cmp.Equal(got[1], want) {
		t.Error(cmp.Diff(want, got[1]))
	}
	if lag, there := got[0]["lag_ms"]; lag != nil || !there {
		t.Errorf("unknown lag is %v, want null", lag)
	}
}

// TestMetrics compares names, help and values with a golden file, so that no
// metric changes by accident; dashboards and alerts go by the names.
func TestMetrics(t *testing.T) {
	const golden = "testdata/metrics.txt"
	body := newWeb().get("/metrics", local, "").Body.String()
	got := strings.Replace(body, runtimeVersion(body), "GO", 1)
	if *rewriteGolden {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// runtimeVersion is the value of go_version in a scrape.
func runtimeVersion(body string) string {
	_, after, _ := strings.Cut(body, `go_version="`)
	version, _, _ := strings.Cut(after, `"`)
	return version
}

func TestMetricNamesFollowTheConventions(t *testing.T) {
	for line := range strings.Lines(newWeb().get("/metrics", local, "").Body.String()) {
		name, typ, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "# TYPE "), " ")
		if !ok || !strings.HasPrefix(line, "# TYPE ") {
			continue
		}
		if !strings.HasPrefix(name, "telamon_") || strings.HasSuffix(name, "_total") != (typ == "counter") {
			t.Errorf("%s is a %s", name, typ)
		}
		if strings.Contains(name, "_ms") || strings.Contains(name, "milli") {
			t.Errorf("%s is not in a base unit", name)
		}
	}
}

func TestHTTPServesUntilTheContextEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	h := newWeb().HTTP
	go func() { served <- h.Serve(ctx, l) }()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + l.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "ok\n" {
		t.Errorf("healthz: %q", body)
	}
	idle, err := net.Dial("tcp", l.Addr().String()) // says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestHTTPReturnsTheErrorOfABrokenListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := newWeb().Serve(context.Background(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
