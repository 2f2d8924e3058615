// Package child starts processes that cannot outlive the process that started
// them, whichever way it ends.
package child

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

// Process is one running child. All methods may be called from any goroutine.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // result of Wait; read only after done is closed
}

// Start runs cmd in a process group of its own, so that a Ctrl-C at the
// terminal reaches only the parent, and asks the kernel to SIGKILL it when the
// parent dies. cmd.SysProcAttr may be set; Start completes it.
//
// The kernel ties PR_SET_PDEATHSIG to the thread that forked, not to the
// process (prctl(2)); a locked thread therefore waits for the child as long as
// it lives.
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL

	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// PID is the process id. After Done it may belong to another process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the process ended: nil for exit status 0, *exec.ExitError
// otherwise. It must be called only after Done is closed.
func (p *Process) Err() error { return p.err }

// Running reports whether the process has not been reaped yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends sig to the process alone, not to its group. A process that has
// ended already is os.ErrProcessDone.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop asks the process to end (SIGTERM, after SIGCONT in case it is stopped)
// and waits for it. When ctx ends first the whole group is killed and the
// error says so. A process that has ended already is no error.
func (p *Process) Stop(ctx context.Context) error {
	if !p.Running() {
		return nil
	}
	_ = p.Signal(syscall.SIGTERM)
	_ = p.Signal(syscall.SIGCONT)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%s (pid %d) did not end on SIGTERM and was killed: %w", p.cmd.Path, p.PID(), context.Cause(ctx))
	}
}

// Kill sends SIGKILL to the group and waits until the process is gone.
func (p *Process) Kill() {
	if !p.Running() {
		return
	}
	if err := syscall.Kill(-p.PID(), syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
		_ = p.Signal(syscall.SIGKILL)
	}
	<-p.done
}
