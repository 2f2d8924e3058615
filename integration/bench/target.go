package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/telamondb/telamon/integration/bench/load"
	"github.com/telamondb/telamon/internal/child"
	"github.com/telamondb/telamon/internal/localserver"
)

// Names of the built-in targets.
const (
	targetDirect       = "direct"
	targetHAProxy      = "haproxy"
	targetTelamon      = "telamon"
	targetTelamonSplit = "telamon-split"
)

const (
	readyLimit = 15 * time.Second
	stopLimit  = 5 * time.Second
	poll       = 20 * time.Millisecond
)

// proxy is how to start one target.
type proxy struct {
	name string
	// perClient is how many descriptors one idle client costs it.
	perClient int
	// command prepares files in dir and returns the command that listens on
	// port in the foreground. It is nil for direct access.
	command func(dir string, port int, servers *backend) (*exec.Cmd, error)
}

// target is a running one.
type target struct {
	proxy   proxy
	addr    string
	pids    []int // the proxy's processes; none for direct access
	process *child.Process
	port    *localserver.Port
	dir     string
}

// errAbsent marks a target whose program is not on this machine.
var errAbsent = errors.New("not on this machine")

// proxies are the targets of a run in the order of measuring. Those whose
// program is missing are left out, which is reported on stderr.
func proxies(opts *options, stderr io.Writer) []proxy {
	var list []proxy
	for _, name := range opts.targets {
		p, err := builtin(name, opts)
		if err != nil {
			fmt.Fprintf(stderr, "bench: LEFT OUT: %s: %v\n", name, err)
			continue
		}
		list = append(list, p)
	}
	for _, x := range opts.with {
		list = append(list, proxy{name: x.name, perClient: 2, command: x.start})
	}
	return list
}

func builtin(name string, opts *options) (proxy, error) {
	switch name {
	case targetDirect:
		return proxy{name: name, perClient: 1}, nil
	case targetHAProxy:
		path, err := exec.LookPath(opts.haproxy)
		if err != nil {
			return proxy{}, fmt.Errorf("%w: %w", errAbsent, err)
		}
		return proxy{name: name, perClient: 2, command: haproxyCommand(path)}, nil
	}
	path, err := filepath.Abs(opts.telamon)
	if err == nil {
		_, err = exec.LookPath(path)
	}
	if err != nil {
		return proxy{}, fmt.Errorf("%w: %w", errAbsent, err)
	}
	return proxy{name: name, perClient: 1, command: telamonCommand(path, name == targetTelamonSplit)}, nil
}

// start runs the target and waits until a statement goes through it.
func (p proxy) start(ctx context.Context, servers *backend) (*target, error) {
	t := &target{proxy: p}
	if p.command == nil {
		t.addr = servers.primary
		return t, nil
	}
	if err := t.launch(ctx, servers); err != nil {
		err = fmt.Errorf("%s: %w%s", p.name, err, t.logTail())
		t.stop()
		return nil, err
	}
	return t, nil
}

func (t *target) launch(ctx context.Context, servers *backend) (err error) {
	if t.dir, err = os.MkdirTemp("", "telamon-bench-"); err != nil {
		return err
	}
	if t.port, err = localserver.ReservePort(); err != nil {
		return err
	}
	t.addr = t.port.Addr()
	cmd, err := t.proxy.command(t.dir, t.port.Number(), servers)
	if err != nil {
		return err
	}
	log, err := os.Create(t.logPath())
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.dir, log, log
	if t.process, err = child.Start(cmd); err != nil {
		return err
	}
	if err := t.awaitReady(ctx); err != nil {
		return err
	}
	t.pids = family(t.process.PID())
	return nil
}

func (t *target) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		err := load.Ping(ctx, t.addr, login)
		if err == nil {
			return nil
		}
		select {
		case <-t.process.Done():
			return fmt.Errorf("ended before it served: %w", errors.Join(t.process.Err(), err))
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %w", readyLimit, err)
		case <-tick.C:
		}
	}
}

func (t *target) logPath() string { return filepath.Join(t.dir, "output.log") }

// logTail is the end of what the process wrote, for error messages.
func (t *target) logTail() string {
	text, err := os.ReadFile(t.logPath())
	if err != nil || len(text) == 0 {
		return ""
	}
	const most = 2000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return "\n  its output:\n    " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    ")
}

func (t *target) stop() {
	if t.process != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
		_ = t.process.Stop(ctx) // killed if it does not end in time
		cancel()
	}
	if t.port != nil {
		t.port.Release()
	}
	if t.dir != "" {
		_ = os.RemoveAll(t.dir)
	}
}

func haproxyCommand(path string) func(string, int, *backend) (*exec.Cmd, error) {
	return func(dir string, port int, servers *backend) (*exec.Cmd, error) {
		config := fmt.Sprintf(`global
  nbthread 1
  maxconn %d
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen mysql
  bind 127.0.0.1:%d
  server primary %s
`, haproxyMaxConn(), port, servers.primary)
		file := filepath.Join(dir, "haproxy.cfg")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return nil, err
		}
		return exec.Command(path, "-db", "-f", file), nil
	}
}

// haproxyMaxConn leaves HAProxy two descriptors per connection and some for
// itself; it refuses to start with more than its limit.
func haproxyMaxConn() int { return (descriptorLimit() - reservedDescriptors) / 2 }

// reservedDescriptors are what a process needs besides its connections.
const reservedDescriptors = 100

func telamonCommand(path string, split bool) func(string, int, *backend) (*exec.Cmd, error) {
	return func(dir string, port int, servers *backend) (*exec.Cmd, error) {
		file := filepath.Join(dir, "telamon.toml")
		if err := os.WriteFile(file, []byte(telamonConfig(port, servers, split)), 0o600); err != nil {
			return nil, err
		}
		return exec.Command(path, "serve", "--config", file), nil
	}
}

func telamonConfig(port int, servers *backend, split bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, `instance = "bench"
[proxy]
listen = ["127.0.0.1:%d"]
max_connections = 20000
[admin]
listen = ""
http = ""
[[users]]
name = %q
password = %q
[monitor]
username = %q
password = %q
[pool]
max_idle = 256
[log]
level = "warn"
[[backends]]
address = %q
role = "rw"
`, port, login.User, login.Password, login.User, login.Password, servers.primary)
	if split {
		for _, addr := range servers.replicas {
			fmt.Fprintf(&b, "[[backends]]\naddress = %q\nrole = \"ro\"\nweight = 1\n", addr)
		}
	}
	return b.String()
}

// start runs a proxy given by -with.
func (x external) start(dir string, port int, servers *backend) (*exec.Cmd, error) {
	_, backendPort, ok := strings.Cut(servers.primary, ":")
	if !ok {
		return nil, fmt.Errorf("backend address %q has no port", servers.primary)
	}
	cmd := exec.Command("sh", "-c", x.command)
	cmd.Env = append(os.Environ(),
		fmt.Sprintf("PORT=%d", port), "BACKEND_PORT="+backendPort, "BENCH_DIR="+dir,
		"BENCH_USER="+login.User, "BENCH_PASSWORD="+login.Password, "BENCH_SCHEMA="+login.Schema)
	return cmd, nil
}
