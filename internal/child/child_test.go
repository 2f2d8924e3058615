package child_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/telamondb/telamon/internal/child"
)

// parentEnv makes the test binary play the parent that is killed.
const parentEnv = "TELAMON_CHILD_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentEnv) != "" {
		playParent()
		return
	}
	goleak.VerifyTestMain(m)
}

func playParent() {
	// exec keeps the death signal: the chain a chroot'ed server is started by.
	p, err := child.Start(exec.Command("sh", "-c", "exec sh -c 'exec sleep 600'"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(p.PID())
	select {}
}

func TestAChildDiesWhenItsParentIsKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), parentEnv+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent said %q", line)
	}
	// A pidfd names this process even if its number is reused.
	watched, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := watched.Signal(syscall.Signal(0)); err != nil {
		t.Fatalf("the child is not running before the kill: %v", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for running(watched) {
		if time.Now().After(deadline) {
			_ = watched.Kill()
			t.Fatal("the child outlived its killed parent")
		}
	}
}

// running treats a zombie as ended: nobody may reap orphans in a container.
func running(p *os.Process) bool {
	if errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func TestStop(t *testing.T) {
	tests := []struct {
		name   string
		script string
		pause  bool
		wait   time.Duration
		killed bool
	}{
		{name: "ends a process that obeys SIGTERM", script: "echo; exec sleep 600", wait: time.Minute},
		{name: "ends a process that is stopped", script: "echo; exec sleep 600", pause: true, wait: time.Minute},
		{name: "kills a process that ignores SIGTERM", script: "trap '' TERM; echo; while :; do sleep 1; done", wait: 50 * time.Millisecond, killed: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", tt.script)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			p, err := child.Start(cmd)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if tt.pause {
				if err := p.Signal(syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), tt.wait)
			defer cancel()
			if err := p.Stop(ctx); (err != nil) != tt.killed {
				t.Errorf("Stop returned %v, killed should be %v", err, tt.killed)
			}
			if p.Running() {
				t.Error("the process still runs")
			}
			if err := p.Stop(ctx); err != nil {
				t.Errorf("a second Stop returned %v", err)
			}
		})
	}
}

func TestStartNamesTheCommandThatIsMissing(t *testing.T) {
	_, err := child.Start(exec.Command("/nonexistent/server"))
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/server") {
		t.Errorf("got %v", err)
	}
}
