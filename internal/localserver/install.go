package localserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/telamondb/telamon/internal/child"
)

// Install makes the servers of a flavour available: MariaDB from the machine's
// Debian packages, or as a root file system of Debian 13 where MariaDBRootEnv says
// so, MySQL as one of Debian unstable. The output of
// apt-get and debootstrap goes to progress. Without root or apt the error says
// what to install by hand. When the flavour is available already it does nothing.
func Install(ctx context.Context, f Flavour, progress io.Writer) error {
	missing := Available(f)
	if missing == nil {
		return nil
	}
	root := os.Getenv(MariaDBRootEnv)
	if f == MariaDB && root == "" {
		if err := InstallPackages(ctx, progress, "mariadb-server"); err != nil {
			return errors.Join(missing, err)
		}
		return Available(f)
	}
	// The server alone: the package around it would start it.
	var err error
	if f == MariaDB {
		err = installRoot(ctx, progress, debootstrapMariaDB, root, mariadbPlugins)
	} else {
		err = installRoot(ctx, progress, debootstrapMySQL, mysqlRoot(), "")
	}
	if err != nil {
		return errors.Join(missing, err)
	}
	return Available(f)
}

// Options of debootstrap, with the suite.
const (
	debootstrapMySQL   = "--variant=minbase --include=mysql-server-core,mysql-client-core sid"
	debootstrapMariaDB = "--variant=minbase --include=mariadb-server-core,mariadb-client-core trixie"
)

// mariadbPlugins adds what the tests need of the package around MariaDB's server.
const mariadbPlugins = "cd /tmp && apt-get update && apt-get download mariadb-server && dpkg -x mariadb-server_*.deb / && rm mariadb-server_*.deb"

// InstallPackages runs apt-get update and install for those of the Debian
// packages that are not installed. Services they bring are not started.
func InstallPackages(ctx context.Context, progress io.Writer, packages ...string) error {
	var wanted []string
	for _, p := range packages {
		if !packageInstalled(ctx, p) {
			wanted = append(wanted, p)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	command := "apt-get install " + strings.Join(wanted, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this machine has no apt-get; install what Debian calls %s", strings.Join(wanted, ", "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("installing packages needs root; run as root: %s", command)
	}
	allow, err := forbidServices()
	if err != nil {
		return err
	}
	defer allow()
	// A foreign repository that is down fails the update; the packages may come
	// all the same.
	updateErr := run(ctx, progress, exec.Command("apt-get", "update"))
	installErr := run(ctx, progress, exec.Command("apt-get", append([]string{"install", "-y", "--no-install-recommends"}, wanted...)...))
	if installErr != nil {
		return errors.Join(updateErr, installErr)
	}
	return nil
}

// policyFile decides whether packages may start their services
// (invoke-rc.d(8), exit status 101 = forbidden).
const policyFile = "/usr/sbin/policy-rc.d"

// forbidServices keeps packages from starting their services until the returned
// function is called: only the binaries are wanted. A policy of the machine's
// own is left alone.
func forbidServices() (allow func(), err error) {
	file, err := os.OpenFile(policyFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(file, "#!/bin/sh\nexit 101\n"); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(policyFile))
	}
	return func() { os.Remove(policyFile) }, file.Close()
}

func packageInstalled(ctx context.Context, name string) bool {
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f=${Status}", name).Output()
	return err == nil && strings.HasSuffix(string(out), " installed")
}

// installRoot builds a root file system next to its place and renames it, so
// that an interrupted attempt is never taken for a whole one. extra is run by its
// shell in the end.
func installRoot(ctx context.Context, progress io.Writer, options, root, extra string) error {
	if os.Geteuid() != 0 {
		return errors.New("building a root file system needs root")
	}
	if err := InstallPackages(ctx, progress, "debootstrap"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(root), filepath.Base(root)+".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	// What debootstrap mounts below work must be gone before RemoveAll walks it,
	// whatever happens: the mounts live in a namespace that ends with it.
	arguments := strings.Fields(debootstrapCommand(options, work))
	cmd := exec.Command(arguments[0], arguments[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := run(ctx, progress, cmd); err != nil {
		return err
	}
	if extra != "" {
		if err := run(ctx, progress, exec.Command("chroot", work, "sh", "-c", extra)); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	return os.Rename(work, root)
}

func debootstrapCommand(options, root string) string {
	command := "debootstrap " + options + " " + root
	if mirror := DebianMirror(); mirror != "" {
		command += " " + mirror
	}
	return command
}

// DebianMirror is the mirror the machine's own apt uses, empty if unknown.
func DebianMirror() string {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, file := range append([]string{"/etc/apt/sources.list"}, files...) {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(text)) {
			if strings.HasPrefix(field, "http") && strings.HasSuffix(strings.TrimRight(field, "/"), "/debian") {
				return field
			}
		}
	}
	return ""
}

func run(ctx context.Context, progress io.Writer, cmd *exec.Cmd) error {
	command := strings.Join(cmd.Args, " ")
	fmt.Fprintf(progress, "+ %s\n", command)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = progress, progress
	p, err := child.Start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%s: %w", command, context.Cause(ctx))
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}
