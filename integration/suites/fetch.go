package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/telamondb/telamon/internal/localserver"
)

// cache is where suites are kept between runs: below the user's cache directory,
// never in the tree.
type cache struct {
	dir  string
	logs string
}

// openCache makes the folders. TELAMON_SUITES names another place.
func openCache() (*cache, error) {
	dir := os.Getenv("TELAMON_SUITES")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(user, "telamon-suites")
	}
	c := &cache{dir: dir, logs: filepath.Join(dir, "logs")}
	return c, os.MkdirAll(c.logs, 0o755)
}

// once fills a folder of the cache by calling fill with an empty one, which gets its
// name only when fill has succeeded.
func (c *cache) once(name string, fill func(dir string) error) (string, error) {
	dir := filepath.Join(c.dir, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return "", err
	}
	if err := fill(work); err != nil {
		return "", errors.Join(err, os.RemoveAll(work))
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return "", err
	}
	return dir, os.Rename(work, dir)
}

// do runs a command in dir and puts its output into the error.
func do(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return out, fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, out, exit.Stderr)
	}
	return out, err
}

// goModule is a writable copy of a Go module, tests included. The version may be
// empty: the one that this module uses.
func (c *cache) goModule(ctx context.Context, module, version string) (string, error) {
	if version == "" {
		out, err := do(ctx, "", "go", "list", "-m", "-f", "{{.Version}}", module)
		if err != nil {
			return "", err
		}
		version = strings.TrimSpace(string(out))
	}
	name := filepath.Base(module) + "@" + version
	return c.once("go/"+name, func(work string) error {
		out, err := do(ctx, work, "go", "mod", "download", "-json", module+"@"+version)
		if err != nil {
			return err
		}
		var m struct{ Dir string }
		if err := json.Unmarshal(out, &m); err != nil {
			return err
		}
		_, err = do(ctx, work, "cp", "-r", "--no-preserve=mode", m.Dir+"/.", work)
		return err
	})
}

// npm is a folder with these packages, each as name@version, in node_modules.
func (c *cache) npm(ctx context.Context, name string, packages ...string) (string, error) {
	return c.once("npm/"+name, func(work string) error {
		args := append([]string{"npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", work}, packages...)
		_, err := do(ctx, work, args...)
		return err
	})
}

// apt are the options that let apt-get see one release and nothing of the
// machine's own sources and packages.
func (c *cache) apt(ctx context.Context, kind, release string) ([]string, error) {
	mirror := localserver.DebianMirror()
	if mirror == "" {
		return nil, errors.New("no Debian mirror among the sources of this machine's apt")
	}
	dir, err := c.once("apt/"+release+"-"+kind, func(work string) error {
		line := fmt.Sprintf("%s [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", kind, mirror, release)
		if err := os.WriteFile(filepath.Join(work, "sources.list"), []byte(line), 0o644); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(work, "lists/partial"), 0o755); err != nil {
			return err
		}
		_, err := do(ctx, work, append(append([]string{"apt-get"}, aptOptions(work)...), "update")...)
		return err
	})
	return aptOptions(dir), err
}

func aptOptions(dir string) []string {
	return []string{
		"-o", "Dir::Etc::sourcelist=" + dir + "/sources.list",
		"-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::State::lists=" + dir + "/lists",
		"-o", "Dir::State::status=/dev/null",
		"-o", "Dir::Cache::pkgcache=",
		"-o", "Dir::Cache::srcpkgcache=",
		"-o", "APT::Sandbox::User=root",
	}
}

// debianSource is a source package as its authors published it, from the first of
// the releases that has it: mirrors do not always hold every source.
func (c *cache) debianSource(ctx context.Context, name string, releases ...string) (string, error) {
	return c.debian(name, releases, func(work, release string) error {
		options, err := c.apt(ctx, "deb-src", release)
		if err != nil {
			return err
		}
		args := append(append([]string{"apt-get"}, options...), "-y", "--tar-only", "--download-only", "source", name)
		_, fetchErr := do(ctx, work, args...)
		archives, err := filepath.Glob(filepath.Join(work, "*.orig.tar.*"))
		if err != nil || len(archives) != 1 { // that another archive of the package is missing does not matter
			return fmt.Errorf("archives of %s: %v %w", name, archives, errors.Join(fetchErr, err))
		}
		_, err = do(ctx, work, "tar", "-x", "--strip-components=1", "-f", archives[0])
		return err
	})
}

// debianPackage is the content of a binary package that is not installed.
func (c *cache) debianPackage(ctx context.Context, name string, releases ...string) (string, error) {
	return c.debian(name, releases, func(work, release string) error {
		options, err := c.apt(ctx, "deb", release)
		if err != nil {
			return err
		}
		args := append(append([]string{"apt-get"}, options...), "download", name)
		if _, err := do(ctx, work, args...); err != nil {
			return err
		}
		archives, err := filepath.Glob(filepath.Join(work, "*.deb"))
		if err != nil || len(archives) != 1 {
			return fmt.Errorf("packages of %s: %v %w", name, archives, err)
		}
		_, err = do(ctx, work, "dpkg-deb", "-x", archives[0], work)
		return err
	})
}

func (c *cache) debian(name string, releases []string, fill func(work, release string) error) (string, error) {
	var errs []error
	for _, release := range releases {
		dir, err := c.once("debian/"+name+"-"+release, func(work string) error { return fill(work, release) })
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}
