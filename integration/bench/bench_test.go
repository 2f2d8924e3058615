package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/telamondb/telamon/integration/bench/load"
	"github.com/telamondb/telamon/internal/localserver"
)

// TestMain lets the test binary play the workers that the harness starts itself
// as.
func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// quickRun measures everything briefly and returns the results.
func quickRun(t *testing.T, extra ...string) (*results, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "results.json")
	args := append([]string{"-quick", "-connections", "5", "-processes", "2", "-json", path}, extra...)
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d\n%s\n%s", code, &stderr, &stdout)
	}
	res, err := loadResults(path)
	if err != nil {
		t.Fatal(err)
	}
	return res, stdout.String()
}

// checkCells asserts that every workload was measured on every target. The load
// itself has checked every answer.
func checkCells(t *testing.T, res *results, targets ...string) {
	t.Helper()
	if want := len(load.Workloads()) * len(targets); len(res.Cells) != want {
		t.Errorf("%d cells, want %d", len(res.Cells), want)
	}
	for _, c := range res.Cells {
		m := c.Median
		if m.QPS <= 0 || m.P50 <= 0 || m.P99 < m.P50 || m.Backend <= 0 || (m.QPSToDirect > 0) != slices.Contains(targets, targetDirect) {
			t.Errorf("%s, %d clients, %s: implausible %+v, %g of direct", c.Workload, c.Connections, c.Target, m, m.QPSToDirect)
		}
		if proxied := c.Target != targetDirect; proxied != (m.CPU > 0) {
			t.Errorf("%s, %d clients, %s: CPU %g ms", c.Workload, c.Connections, c.Target, m.CPU)
		}
	}
}

func TestDirectAccessAnswersEveryWorkload(t *testing.T) {
	for _, args := range [][]string{{"-flavour", "mysql"}, {"-flavour", "mariadb", "-old-eof"}} {
		res, _ := quickRun(t, append(args, "-targets", "direct", "-operations", "40")...)
		checkCells(t, res, targetDirect)
	}
}

func TestHAProxyAnswersEveryWorkloadAndHoldsIdleClients(t *testing.T) {
	if _, err := exec.LookPath("haproxy"); err != nil {
		t.Skip("haproxy is not installed: apt install haproxy")
	}
	res, out := quickRun(t, "-processes", "1", "-targets", "direct,haproxy", "-duration", "50ms", "-idle", "20,200")
	checkCells(t, res, targetDirect, targetHAProxy)
	if len(res.Idle) != 2 || res.Idle[1].Clients != 200 || res.Idle[1].RSS < res.Idle[1].Empty {
		t.Errorf("idle clients: %+v", res.Idle)
	}
	for _, want := range []string{"point-text", "haproxy", "KiB/client"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
}

func TestARealServerGivesTheAnswersTheLoadExpects(t *testing.T) {
	if err := localserver.Available(localserver.MariaDB); err != nil {
		t.Skip(err)
	}
	res, _ := quickRun(t, "-backend", "mariadb", "-targets", "direct", "-operations", "20")
	checkCells(t, res, targetDirect)
}

// telamonBinary is where `make` puts it.
const telamonBinary = "../../bin/telamon"

func TestTelamonAnswersEveryWorkloadAndHoldsIdleClients(t *testing.T) {
	if _, err := os.Stat(telamonBinary); err != nil {
		t.Skip("telamon is not built: make")
	}
	for flavour, target := range map[string]string{"mysql": targetTelamon, "mariadb": targetTelamonSplit} {
		res, _ := quickRun(t, "-telamon", telamonBinary, "-flavour", flavour, "-targets", target, "-operations", "50", "-idle", "50")
		checkCells(t, res, target)
		if len(res.Idle) != 1 || res.Idle[0].Clients != 50 {
			t.Errorf("%s: idle clients: %+v", flavour, res.Idle)
		}
	}
}

func TestAProxyOfTheCommandLineIsMeasured(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed: apt install haproxy")
	}
	command := `printf 'defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\nlisten a\n bind 127.0.0.1:%s\n server s 127.0.0.1:%s\n' $PORT $BACKEND_PORT > a.cfg; ` + haproxy + ` -db -f a.cfg`
	res, _ := quickRun(t, "-targets", "direct", "-with", "other="+command, "-only", "point", "-duration", "50ms", "-idle", "")
	if len(res.Cells) != 4 {
		t.Fatalf("%d cells, want 4", len(res.Cells))
	}
	if c := res.Cells[1]; c.Target != "other" || c.Median.CPU <= 0 {
		t.Errorf("second cell: %+v", c)
	}
}

func TestAProxyThatDoesNotStartIsReportedAndTheOthersAreMeasured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	args := []string{"-quick", "-only", "^update$", "-connections", "1", "-operations", "5", "-targets", "direct", "-with", "broken=echo cannot; exit 3", "-json", path}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); code != exitError {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(stdout.String(), "broken: ended before it served") || !strings.Contains(stdout.String(), "cannot") {
		t.Errorf("the reason is missing:\n%s", &stdout)
	}
	res, err := loadResults(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Cells) != 1 || res.Cells[0].Median.QPS <= 0 {
		t.Errorf("cells: %+v", res.Cells)
	}
}

func TestAnInterruptedRunLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := run(ctx, []string{"-quick", "-targets", "direct"}, strings.NewReader(""), io.Discard, io.Discard); code != exitError {
		t.Errorf("exit code %d", code)
	}
}

func TestBadCommandLinesAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-connections", "0"}, {"-idle", "x"}, {"-only", "("}, {"-backend", "oracle"}, {"-flavour", "x"},
		{"-targets", "proxysql"}, {"-with", "x"}, {"-with", "haproxy=true"}, {"-repetitions", "0"}, {"extra"},
		{"-backend", "mariadb", "-targets", "telamon-split"}, {"compare", "one"}, {"-nosuch"},
	} {
		if code := run(t.Context(), args, strings.NewReader(""), io.Discard, io.Discard); code != exitUsage {
			t.Errorf("%v: exit code %d, want %d", args, code, exitUsage)
		}
	}
}

func cellOf(target string, qps ...float64) *cell {
	c := &cell{Workload: "update", Connections: 1, Target: target}
	for _, v := range qps {
		c.Samples = append(c.Samples, sample{QPS: v, CPU: 1e6 / v})
	}
	return c
}

func TestRatiosAreTakenWithinARepetition(t *testing.T) {
	// The machine became half as fast during the run: the ratios stay.
	r := &results{Cells: []*cell{
		cellOf(targetDirect, 1000, 500, 400), cellOf(targetHAProxy, 500, 250, 200), cellOf(targetTelamon, 250, 125, 100),
	}}
	r.summarize()
	got := r.Cells[2].Median
	if got.QPSToDirect != 0.25 || got.CPUToHAProxy != 2 || got.QPS != 125 {
		t.Errorf("of direct %g, of HAProxy %g, median %g", got.QPSToDirect, got.CPUToHAProxy, got.QPS)
	}
}

func TestAMedianIsTheMiddleOne(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 100}, 3}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %g, want %g", c.values, got, c.want)
		}
	}
}

func TestOnlyDifferencesBeyondTheNoiseAreChanges(t *testing.T) {
	for _, c := range []struct {
		name     string
		old, new []float64
		qps, cpu string
	}{
		{"steady runs, 10 % more", []float64{100, 100, 100}, []float64{110, 110, 110}, "better", "better"},
		{"steady runs, 10 % less", []float64{100, 100, 100}, []float64{90, 90, 90}, "worse", "worse"},
		{"steady runs, 2 % less", []float64{100, 100, 100}, []float64{98, 98, 98}, "", ""},
		{"noisy runs, 10 % more", []float64{90, 100, 110}, []float64{105, 110, 115}, "", ""},
		{"single repetitions, 20 % more", []float64{100}, []float64{120}, "", ""},
		{"single repetitions, half", []float64{100}, []float64{50}, "worse", "worse"},
	} {
		changes := compareResults(&results{Cells: []*cell{cellOf("x", c.old...)}}, &results{Cells: []*cell{cellOf("x", c.new...)}})
		got := map[string]string{}
		for _, ch := range changes {
			got[ch.figure] = ch.verdict
		}
		if diff := cmp.Diff(map[string]string{"stmts/s": c.qps, "CPU": c.cpu}, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestACellThatFailedIsNotCompared(t *testing.T) {
	bad := cellOf("x", 100)
	bad.Error = "lost"
	if got := compareResults(&results{Cells: []*cell{bad}}, &results{Cells: []*cell{cellOf("x", 50)}}); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestComparingFilesShowsChangesAndRefusesOtherFormats(t *testing.T) {
	dir := t.TempDir()
	save := func(name string, r *results) string {
		path := filepath.Join(dir, name)
		if err := r.save(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	before := save("old.json", &results{Format: formatVersion, Cells: []*cell{cellOf("x", 100, 100)},
		Idle: []idleResult{{Target: "x", Clients: 10, PerClient: 1000}}})
	after := save("new.json", &results{Format: formatVersion, Backend: "other", Cells: []*cell{cellOf("x", 50, 50)},
		Idle: []idleResult{{Target: "x", Clients: 10, PerClient: 500}}})
	var out bytes.Buffer
	if code := run(t.Context(), []string{"compare", before, after}, strings.NewReader(""), &out, io.Discard); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	for _, want := range []string{"WARNING", "-50.0%", "worse", "RSS/client", "better"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	alien := save("alien.json", &results{Format: formatVersion + 1})
	if code := run(t.Context(), []string{"compare", alien, after}, strings.NewReader(""), io.Discard, io.Discard); code != exitError {
		t.Errorf("another format: exit code %d", code)
	}
}

func TestResultsSurviveTheirFile(t *testing.T) {
	r := &results{Format: formatVersion, Machine: thisMachine(), Cells: []*cell{cellOf("x", 3, 4)}}
	r.summarize()
	path := filepath.Join(t.TempDir(), "r.json")
	if err := r.save(path); err != nil {
		t.Fatal(err)
	}
	back, err := loadResults(path)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(r)
	got, _ := json.Marshal(back)
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestCPUTimeOfThisProcessGrowsWithWork(t *testing.T) {
	pids := family(os.Getpid())
	before, err := cpuOf(pids[:1])
	if err != nil {
		t.Fatal(err)
	}
	var h load.Histogram
	for {
		for range 100000 {
			h.Add(1)
		}
		after, err := cpuOf(pids[:1])
		if err != nil {
			t.Fatal(err)
		}
		spent := after.minus(before)
		if spent.user >= 2*clockTick {
			if user, system := spent.split(); user+system != spent.total || spent.total < spent.user/2 {
				t.Errorf("total %s, user %s, system %s", spent.total, user, system)
			}
			return
		}
	}
}
