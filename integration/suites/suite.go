package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/telamondb/telamon/internal/child"
	"github.com/telamondb/telamon/internal/localserver"
)

// suite is somebody else's tests and how to run them.
type suite struct {
	name     string
	about    string
	flavours []localserver.Flavour
	packages []string // of Debian, installed before fetch
	// serverArgs are further options of the servers.
	serverArgs []string
	// fetch returns the folder with the tests, ready to run. It is called once per
	// flavour and has to find what an earlier call left in the cache.
	fetch func(ctx context.Context, c *cache) (dir string, err error)
	// prepare are statements that root runs on the primary before every run.
	prepare []string
	// run runs all tests once against j's server.
	run func(ctx context.Context, j *job) (results, error)
}

// outcome is how one test ended.
type outcome int

const (
	passed outcome = iota
	failed
	skipped
)

func (o outcome) String() string { return [...]string{"passed", "failed", "skipped"}[o] }

// results are outcomes by the name of the test.
type results map[string]outcome

// job is one run of a suite: where its tests are and which server they shall use.
type job struct {
	dir      string // what fetch returned
	scratch  string // an empty folder of this run
	flavour  localserver.Flavour
	addr     string // of the primary or of the proxy
	through  bool   // addr is the proxy
	excluded []string
	log      io.Writer
}

// Every suite uses the account that may do everything; with the application's,
// many could not create their schemas.
const (
	user     = localserver.DBAUser
	password = localserver.DBAPassword
	schema   = "test"
)

const host = "127.0.0.1"

func (j *job) port() string { return j.addr[len(host)+1:] }

func (j *job) portNumber() int {
	n, err := strconv.Atoi(j.port())
	if err != nil {
		panic(fmt.Sprintf("address %q: %v", j.addr, err)) // localserver's own
	}
	return n
}

// runLimit ends a command that hangs.
const runLimit = 30 * time.Minute

// command is a program to run for a suite.
type command struct {
	dir  string
	env  []string // in addition to the runner's own
	args []string
}

// output runs a command and returns what it wrote to standard output, which also
// goes to the log with the rest. How the command ended does not matter: that tests
// failed is a result. Only what keeps it from running to its end is an error.
func (j *job) output(ctx context.Context, c command) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	var stdout bytes.Buffer
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, j.log), j.log
	fmt.Fprintf(j.log, "+ cd %s && %v %v\n", c.dir, c.env, c.args)
	p, err := child.Start(cmd)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.Done():
		if err := p.Err(); err != nil {
			fmt.Fprintf(j.log, "+ %v\n", err)
		}
		return stdout.Bytes(), nil
	case <-ctx.Done():
		p.Kill()
		return stdout.Bytes(), fmt.Errorf("%s: %w", c.args[0], context.Cause(ctx))
	}
}
