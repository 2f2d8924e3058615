// Command telamon is the proxy and its tools; see docs/ for each task.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Exit codes of every command.
const (
	exitOK     = 0
	exitError  = 1 // something failed while running
	exitUsage  = 2 // bad configuration or command line
	exitListen = 3 // an address to listen on is not to be had
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line, without the program's name, and returns the
// exit code. It is main without the process: ctx ends a command that serves,
// and nothing global is touched.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(withServe(args))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var exit *exitCode
	if !errors.As(err, &exit) {
		exit = &exitCode{code: exitError, err: err}
	}
	if exit.err != nil {
		fmt.Fprintf(stderr, "telamon: %v\n", exit.err)
	}
	return exit.code
}

// exitCode is an error that ends the process with a certain code. A nil err
// prints nothing: the command has said what there is to say.
type exitCode struct {
	code int
	err  error
}

func (e *exitCode) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitCode) Unwrap() error { return e.err }
