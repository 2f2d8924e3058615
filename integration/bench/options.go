package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/telamondb/telamon/integration/bench/load"
)

// options are the command line of a run.
type options struct {
	telamon     string
	haproxy     string
	backend     string
	flavour     string
	targets     []string
	with        []external
	only        *regexp.Regexp
	connections []int
	idle        []int
	repetitions int
	duration    time.Duration
	operations  uint64
	processes   int
	oldEOF      bool
	json        string
	compare     string
}

// external is a further proxy given on the command line.
type external struct{ name, command string }

const usageText = `usage: bench [flags]             measure
       bench compare OLD NEW     compare two JSON results

A further proxy (-with NAME=COMMAND, repeatable) is started by "sh -c COMMAND".
It finds in its environment PORT (listen there on 127.0.0.1), BACKEND_PORT (on
127.0.0.1), BENCH_USER, BENCH_PASSWORD, BENCH_SCHEMA and BENCH_DIR, an empty
directory that is its current one. Begin with "exec" unless it needs the shell.

flags:
`

func parseOptions(args []string, stderr io.Writer) (*options, error) {
	opts := &options{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, usageText)
		fs.PrintDefaults()
	}
	fs.StringVar(&opts.telamon, "telamon", "bin/telamon", "the telamon binary; left out, loudly, if there is none")
	fs.StringVar(&opts.haproxy, "haproxy", "haproxy", "the haproxy binary; left out, loudly, if there is none")
	fs.StringVar(&opts.backend, "backend", "fake", "fake or mariadb (a real server; without the idle clients)")
	fs.StringVar(&opts.flavour, "flavour", "mysql", "what the fake backend pretends to be: mysql or mariadb")
	targets := fs.String("targets", "direct,haproxy,telamon", "what to measure; telamon-split has two replicas")
	fs.Func("with", "a further proxy, NAME=COMMAND", func(v string) error {
		name, command, ok := strings.Cut(v, "=")
		if !ok || name == "" || command == "" {
			return errors.New("want NAME=COMMAND")
		}
		opts.with = append(opts.with, external{name, command})
		return nil
	})
	only := fs.String("only", "", "workloads to run, a regular expression; also matches \"idle\"")
	connections := fs.String("connections", "1,16,128", "numbers of connections")
	idle := fs.String("idle", "1000,10000", "numbers of idle clients; empty for none")
	fs.IntVar(&opts.repetitions, "repetitions", 5, "repetitions, interleaved between the targets")
	fs.DurationVar(&opts.duration, "duration", 2*time.Second, "of one repetition")
	fs.Uint64Var(&opts.operations, "operations", 0, "end a repetition after this many operations instead of -duration")
	fs.IntVar(&opts.processes, "processes", 1, "load processes the connections are divided among")
	fs.BoolVar(&opts.oldEOF, "old-eof", false, "the load declines CLIENT_DEPRECATE_EOF")
	quick := fs.Bool("quick", false, "one short repetition of everything, about a minute: shows that it works, measures little")
	fs.StringVar(&opts.json, "json", "", "also write the results to this file")
	fs.StringVar(&opts.compare, "compare", "", "print the changes since the results in this file")
	if err := fs.Parse(args); err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if *quick {
		set := map[string]bool{}
		fs.Visit(func(f *flag.Flag) { set[f.Name] = true })
		applyQuick(opts, set, idle)
	}
	opts.targets = splitList(*targets)
	var err error
	if opts.connections, err = numbers(*connections); err != nil {
		return nil, fmt.Errorf("%w: -connections: %w", errUsage, err)
	}
	if opts.idle, err = numbers(*idle); err != nil {
		return nil, fmt.Errorf("%w: -idle: %w", errUsage, err)
	}
	if opts.only, err = regexp.Compile(*only); err != nil {
		return nil, fmt.Errorf("%w: -only: %w", errUsage, err)
	}
	return opts, opts.check(fs.Args())
}

// applyQuick shortens what was not set on the command line.
func applyQuick(opts *options, set map[string]bool, idle *string) {
	if !set["repetitions"] {
		opts.repetitions = 1
	}
	if !set["duration"] {
		opts.duration = 400 * time.Millisecond
	}
	if !set["idle"] {
		*idle = "1000"
	}
}

func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%w: unexpected argument %q", errUsage, rest[0])
	case o.backend != "fake" && o.backend != "mariadb":
		return fmt.Errorf("%w: -backend is fake or mariadb, not %q", errUsage, o.backend)
	case o.flavour != "mysql" && o.flavour != "mariadb":
		return fmt.Errorf("%w: -flavour is mysql or mariadb, not %q", errUsage, o.flavour)
	case o.repetitions < 1 || o.processes < 1 || o.duration <= 0:
		return fmt.Errorf("%w: -repetitions, -processes and -duration must be positive", errUsage)
	case o.backend != "fake" && slices.Contains(o.targets, targetTelamonSplit):
		return fmt.Errorf("%w: %s needs the fake backend", errUsage, targetTelamonSplit)
	}
	known := []string{targetDirect, targetHAProxy, targetTelamon, targetTelamonSplit}
	for _, name := range o.targets {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%w: -targets: %q is none of %s", errUsage, name, strings.Join(known, ", "))
		}
	}
	for _, x := range o.with {
		if slices.Contains(known, x.name) {
			return fmt.Errorf("%w: -with: the name %s is taken", errUsage, x.name)
		}
	}
	return nil
}

// workloads are the selected ones.
func (o *options) workloads() []load.Workload {
	return slices.DeleteFunc(load.Workloads(), func(w load.Workload) bool { return !o.only.MatchString(w.Name) })
}

// idleWanted reports whether memory per idle client is to be measured.
func (o *options) idleWanted() bool {
	return len(o.idle) > 0 && o.backend == "fake" && o.only.MatchString("idle")
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

func numbers(s string) ([]int, error) {
	var ns []int
	for _, field := range splitList(s) {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no positive number", field)
		}
		ns = append(ns, n)
	}
	slices.Sort(ns)
	return ns, nil
}
