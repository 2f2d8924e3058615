//go:build integration

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
)

// demoCommand is `telamon demo` on free ports with a temporary directory of its own.
func demoCommand(t *testing.T, arguments ...string) (cmd *exec.Cmd, tmp string) {
	t.Helper()
	if err := localserver.Available(localserver.MariaDB); err != nil {
		t.Skip(err)
	}
	tmp, err := os.MkdirTemp("", "demo") // short: socket paths are limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	all := []string{"demo"}
	for _, flag := range []string{"--listen", "--console", "--http"} {
		port, err := localserver.ReservePort()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(port.Release)
		all = append(all, flag, port.Addr())
	}
	cmd = exec.Command(suite.Program(t, false), append(all, arguments...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	return cmd, tmp
}

// wantNothingLeft checks that no process works in tmp and no file is in it.
func wantNothingLeft(t *testing.T, tmp string) {
	t.Helper()
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte(tmp)) {
			t.Errorf("still running: %s", bytes.ReplaceAll(text, []byte{0}, []byte{' '}))
		}
	}
}

func TestTheDemoShowsEveryStatementAndLeavesNothing(t *testing.T) {
	cmd, tmp := demoCommand(t, "--once")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for statement, server := range map[string]string{
		"CREATE TABLE orders":             "primary",
		"SELECT COUNT(*) FROM orders":     "replica",
		"(prepared)":                      "replica",
		"/*master*/ SELECT":               "primary",
		"FOR UPDATE":                      "primary",
		"UPDATE orders":                   "primary",
		"SELECT GET_LOCK('stocktaking', ": "primary",
		"DELETE FROM orders":              "none",
		"60 plain reads":                  "10 on replica 1, 50 on replica 2",
	} {
		line := lineWith(string(out), statement)
		if !strings.Contains(line, server) {
			t.Errorf("the line with %q is %q, want %q in it", statement, line, server)
		}
	}
	wantNothingLeft(t, tmp)
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}

func TestTheDemoStaysUpUntilItIsInterrupted(t *testing.T) {
	cmd, tmp := demoCommand(t)
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	harness.Eventually(t, time.Minute, func(context.Context) error {
		if !strings.Contains(out.String(), "until Ctrl-C") {
			return fmt.Errorf("it says only\n%s", out.String())
		}
		return nil
	})
	db := harness.Open(t, "app:app@tcp("+cmd.Args[3]+")/app")
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM orders").Scan(&n); err != nil || n != 2 {
		t.Errorf("a query while it is up: %d, %v", n, err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v\n%s", err, out.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not end on SIGINT")
	}
	wantNothingLeft(t, tmp)
}

func TestTheDemoNamesAPortThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cmd, tmp := demoCommand(t, "--console", taken.Addr().String())
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("it ended with %v, want exit status 3", err)
	}
	for _, want := range []string{taken.Addr().String(), "--console"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in %q", want, out)
		}
	}
	wantNothingLeft(t, tmp)
}

// lockedBuffer may be written by a process while a test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
