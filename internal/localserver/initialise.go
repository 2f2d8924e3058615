package localserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/telamondb/telamon/internal/child"
)

// chrootMount is where a root file system sees the server's directory.
const chrootMount = "/mnt"

// view is the path under which the server sees the host's dir.
func (b binaries) view(dir string) string {
	if b.root != "" {
		return chrootMount
	}
	return dir
}

// command is a program of b with args, prepared to work on dir.
//
// In a root file system it runs with mounts of its own that end with it. Every
// step execs the next, so the process started is the program itself in the end.
func (b binaries) command(dir, program string, args []string) *exec.Cmd {
	if b.root == "" {
		return exec.Command(program, args...)
	}
	const script = `set -e
root=$1; dir=$2; shift 2
mount --bind "$dir" "$root` + chrootMount + `"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
exec chroot "$root" "$@"`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh", b.root, dir, program}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=/tmp"} // the host's TMPDIR is not in there
	return cmd
}

// initialise creates the system tables and the accounts in dir/data.
func initialise(ctx context.Context, f Flavour, bin binaries, dir string) error {
	accounts := filepath.Join(dir, "accounts.sql")
	if err := os.WriteFile(accounts, []byte(accountSQL(f)), 0o600); err != nil {
		return err
	}
	var cmd *exec.Cmd
	view := bin.view(dir)
	if f == MySQL {
		if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
			return err
		}
		cmd = bin.command(dir, bin.server, []string{
			"--no-defaults", "--initialize-insecure", "--user=root",
			"--datadir=" + view + "/data", "--log-error=" + view + "/" + errorLogName, "--init-file=" + view + "/accounts.sql",
		})
	} else {
		args := []string{
			"--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
			"--force", // or it fails where not even localhost can be looked up: no /etc/hosts
			"--basedir=/usr", "--datadir=" + view + "/data", "--extra-file=" + view + "/accounts.sql",
		}
		if os.Geteuid() == 0 {
			args = append(args, "--user=root")
		}
		cmd = bin.command(dir, bin.installDB, args)
		if bin.root == "" {
			cmd.Env = append(os.Environ(), "TMPDIR="+dir) // as --tmpdir in arguments
		}
	}
	output := filepath.Join(dir, "initialise.log")
	log, err := os.Create(output)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	p, err := child.Start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("initialise %s: %w", f, context.Cause(ctx))
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("initialise %s: %w\n%s\n%s", f, err, tail(output, 20), tail(filepath.Join(dir, errorLogName), 20))
	}
	return forgetIdentity(dir)
}

// forgetIdentity removes what tells two MySQL servers apart, so that every copy
// of the data makes its own: server_uuid, TLS certificates and RSA key pair.
func forgetIdentity(dir string) error {
	own, err := filepath.Glob(filepath.Join(dir, "data", "*.pem"))
	if err != nil {
		return err
	}
	for _, file := range append(own, filepath.Join(dir, "data", "auto.cnf")) {
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// copyData copies an initialised directory, sharing blocks where the file
// system can.
func copyData(ctx context.Context, from, to string) error {
	out, err := exec.CommandContext(ctx, "cp", "-a", "--reflink=auto", from+"/data", to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w: %s", from, to, err, out)
	}
	return nil
}
