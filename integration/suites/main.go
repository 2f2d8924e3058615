package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/telamondb/telamon/internal/localserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "suites:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("suites", flag.ContinueOnError)
	server := flags.String("server", "", "only on `mariadb` or mysql")
	binary := flags.String("telamon", "", "this `program` instead of one built from the tree with the race detector")
	repeat := flags.Int("repeat", 2, "how often to run a suite again whose outcomes differ")
	list := flags.Bool("list", false, "print the names of the suites")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: suites [flags] [SUITE...]\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *list {
		for _, s := range suites {
			fmt.Fprintf(out, "%-18s %s\n", s.name, s.about)
		}
		return nil
	}
	chosen, err := choose(flags.Args())
	if err != nil {
		return err
	}
	exclusions, err := loadExclusions()
	if err != nil {
		return err
	}
	cache, err := openCache()
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "telamon-suites-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if *binary == "" {
		if *binary, err = build(ctx, scratch); err != nil {
			return err
		}
	}
	r := &runner{cache: cache, out: out, program: *binary, scratch: scratch, exclusions: exclusions, repeat: *repeat}
	for _, s := range chosen {
		for _, f := range s.flavours {
			if *server == "" || strings.EqualFold(*server, f.String()) {
				r.compare(ctx, s, f)
			}
		}
	}
	return r.report()
}

func choose(names []string) ([]suite, error) {
	if len(names) == 0 {
		return suites, nil
	}
	var chosen []suite
	for _, name := range names {
		at := slices.IndexFunc(suites, func(s suite) bool { return s.name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no suite %q; -list prints their names", name)
		}
		chosen = append(chosen, suites[at])
	}
	return chosen, nil
}

// build makes the program with the race detector: a race that a suite provokes
// fails it.
func build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "telamon")
	out, err := exec.CommandContext(ctx, "go", "build", "-race", "-buildvcs=false", "-o", program,
		"github.com/telamondb/telamon/cmd/telamon").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
}

// flavours a suite can be run on.
var (
	both        = []localserver.Flavour{localserver.MariaDB, localserver.MySQL}
	mariadbOnly = []localserver.Flavour{localserver.MariaDB}
)
