package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/telamondb/telamon/integration/bench/dataset"
	"github.com/telamondb/telamon/integration/bench/fakebackend"
	"github.com/telamondb/telamon/integration/bench/load"
	"github.com/telamondb/telamon/internal/child"
)

// Subcommands that the harness runs itself as, one process each. They speak in
// lines: requests on stdin, JSON messages on stdout, and end with stdin.
const (
	workerFake = "worker-fake"
	workerLoad = "worker-load"
	workerIdle = "worker-idle"
)

// workerEnv tells a test binary that it is to play a worker.
const workerEnv = "TELAMON_BENCH_WORKER"

// message is what a worker says. Exactly one field is set.
type message struct {
	Error  string       `json:"error,omitempty"`
	Ready  bool         `json:"ready,omitempty"`
	Count  int          `json:"count,omitempty"`
	Fake   *fakeAddrs   `json:"fake,omitempty"`
	Result *load.Result `json:"result,omitempty"`
}

// fakeAddrs are where the fake backends listen.
type fakeAddrs struct {
	Primary  string   `json:"primary"`
	Replicas []string `json:"replicas"`
}

// login is the one account of every server and proxy of a run.
var login = load.Login{User: "bench", Password: "bench", Schema: dataset.Schema}

// worker is a running subcommand of this binary.
type worker struct {
	process *child.Process
	stdin   io.WriteCloser
	out     *bufio.Reader
}

func startWorker(args ...string) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), workerEnv+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// A pipe of our own: exec's would be closed as soon as the worker ends,
	// perhaps before its last message was read.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = w
	p, err := child.Start(cmd)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return &worker{process: p, stdin: stdin, out: bufio.NewReader(r)}, nil
}

// say sends a line to the worker.
func (w *worker) say(line string) error {
	_, err := io.WriteString(w.stdin, line+"\n")
	return err
}

// hear waits for the worker's next message; one that reports an error becomes
// one. When ctx ends the worker is killed.
func (w *worker) hear(ctx context.Context) (message, error) {
	defer context.AfterFunc(ctx, w.process.Kill)()
	line, err := w.out.ReadBytes('\n')
	if err != nil {
		return message{}, errors.Join(fmt.Errorf("worker ended without an answer: %w", err), ctx.Err())
	}
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return message{}, fmt.Errorf("worker said %q: %w", line, err)
	}
	if m.Error != "" {
		return message{}, errors.New(m.Error)
	}
	return m, nil
}

// stop ends the worker; it has nothing to lose.
func (w *worker) stop() {
	_ = w.stdin.Close()
	w.process.Kill()
}

// tell writes one message of a worker.
func tell(to io.Writer, m message) error { return json.NewEncoder(to).Encode(m) }

// report is how a worker ends: its error is its last message.
func report(to io.Writer, err error) error {
	if err == nil {
		return nil
	}
	return tell(to, message{Error: err.Error()})
}

func serveFake(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	fs := flag.NewFlagSet(workerFake, flag.ContinueOnError)
	flavour := fs.String("flavour", "mysql", "")
	replicas := fs.Int("replicas", 0, "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	opt := fakebackend.Options{Password: login.Password}
	if *flavour == "mariadb" {
		opt.Flavour = fakebackend.MariaDB
	}
	primary, err := fakebackend.Start(opt)
	if err != nil {
		return report(stdout, err)
	}
	defer primary.Close()
	addrs := &fakeAddrs{Primary: primary.Addr()}
	opt.Source = primary
	for i := range *replicas {
		opt.ServerID = uint32(2 + i)
		replica, err := fakebackend.Start(opt)
		if err != nil {
			return report(stdout, err)
		}
		defer replica.Close()
		addrs.Replicas = append(addrs.Replicas, replica.Addr())
	}
	if err := tell(stdout, message{Fake: addrs}); err != nil {
		return err
	}
	return untilEnd(ctx, stdin)
}

// untilEnd waits for the end of the harness.
func untilEnd(ctx context.Context, stdin io.Reader) error {
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return nil
}

// loadArgs are the arguments serveLoad understands.
func loadArgs(cfg load.Config) []string {
	return []string{
		workerLoad, "-addr", cfg.Addr, "-workload", cfg.Workload.Name,
		"-connections", fmt.Sprint(cfg.Connections), "-first", fmt.Sprint(cfg.FirstConnection),
		"-duration", cfg.Duration.String(), "-operations", fmt.Sprint(cfg.Operations),
		fmt.Sprintf("-old-eof=%t", cfg.Login.OldEOF),
	}
}

func serveLoad(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	cfg := load.Config{Login: login}
	fs := flag.NewFlagSet(workerLoad, flag.ContinueOnError)
	fs.StringVar(&cfg.Addr, "addr", "", "")
	workload := fs.String("workload", "", "")
	fs.IntVar(&cfg.Connections, "connections", 1, "")
	fs.IntVar(&cfg.FirstConnection, "first", 0, "")
	fs.DurationVar(&cfg.Duration, "duration", time.Second, "")
	fs.Uint64Var(&cfg.Operations, "operations", 0, "")
	fs.BoolVar(&cfg.Login.OldEOF, "old-eof", false, "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var err error
	if cfg.Workload, err = load.WorkloadNamed(*workload); err != nil {
		return report(stdout, err)
	}
	in := bufio.NewReader(stdin)
	res, err := load.Run(ctx, cfg, func() error {
		if err := tell(stdout, message{Ready: true}); err != nil {
			return err
		}
		_, err := in.ReadString('\n')
		return err
	})
	if err != nil {
		return report(stdout, err)
	}
	return tell(stdout, message{Result: res})
}

func serveIdle(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("%w: %s ADDRESS", errUsage, workerIdle)
	}
	held := load.NewIdle(args[0], login)
	defer held.Close()
	in := bufio.NewScanner(stdin)
	for in.Scan() {
		var total int
		if _, err := fmt.Sscan(strings.TrimSpace(in.Text()), &total); err != nil {
			return report(stdout, err)
		}
		if err := held.Grow(ctx, total); err != nil {
			return report(stdout, err)
		}
		if err := tell(stdout, message{Count: total}); err != nil {
			return err
		}
	}
	return in.Err()
}
