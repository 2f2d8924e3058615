package main

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/telamondb/telamon/internal/child"
)

// nodePrograms exercise what the documentation of the npm packages describes,
// where the packages come without tests.
//
//go:embed node/*.js
var nodePrograms embed.FS

// nodeEnv is where the programs, and the tests of mysql and mysql2, find the server.
func (j *job) nodeEnv() []string {
	return []string{
		"MYSQL_HOST=" + host, "MYSQL_PORT=" + j.port(), "MYSQL_USER=" + user, "MYSQL_PASSWORD=" + password,
		"MYSQL_DATABASE=" + schema, "CI=1",
	}
}

// nodeProgram runs one of nodePrograms, which prints TAP.
func (j *job) nodeProgram(ctx context.Context, name string) (results, error) {
	for _, file := range []string{name, "tap.js"} {
		text, err := fs.ReadFile(nodePrograms, "node/"+file)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(j.scratch, file), text, 0o600); err != nil {
			return nil, err
		}
	}
	out, err := j.output(ctx, command{
		dir:  j.scratch,
		env:  append(j.nodeEnv(), "NODE_PATH="+filepath.Join(j.dir, "node_modules")),
		args: []string{"node", name},
	})
	return parseTAP("", out), err
}

// nodeFiles runs every test-*.js below dir by itself; its exit status is the outcome.
func (j *job) nodeFiles(ctx context.Context, dir string) (results, error) {
	got := results{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasPrefix(entry.Name(), "test-") || !strings.HasSuffix(path, ".js") {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		for _, pattern := range j.excluded {
			if matches(pattern, name) {
				got[name] = skipped
				return nil
			}
		}
		got[name], err = j.nodeFile(ctx, dir, path)
		return err
	})
	return got, err
}

// nodeLimit ends a test that waits for ever.
const nodeLimit = time.Minute

func (j *job) nodeFile(ctx context.Context, dir, path string) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, nodeLimit)
	defer cancel()
	cmd := exec.Command("node", path)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), j.nodeEnv()...)
	cmd.Stdout, cmd.Stderr = j.log, j.log
	fmt.Fprintf(j.log, "+ node %s\n", path)
	p, err := child.Start(cmd)
	if err != nil {
		return failed, err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
	}
	if err := p.Err(); err != nil {
		fmt.Fprintf(j.log, "+ %v\n", err)
		return failed, nil
	}
	return passed, nil
}

// Versions of npm packages, exact so that a run can be repeated.
const (
	mysql2Version     = "mysql2@3.24.5"
	mysql2TestVersion = "mysql2@1.0.0-rc.1" // the last one published with its tests
	mariadbVersion    = "mariadb@3.5.4"
)

func nodeMySQL(ctx context.Context, c *cache) (string, error) {
	source, err := c.debianSource(ctx, "node-mysql", "trixie", "sid", "bookworm")
	if err != nil {
		return "", err
	}
	return c.once("npm/mysql-tests", func(work string) error {
		if _, err := do(ctx, work, "cp", "-r", source+"/.", work); err != nil {
			return err
		}
		_, err := do(ctx, work, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts")
		return err
	})
}

func runNodeMySQL(ctx context.Context, j *job) (results, error) {
	return j.nodeFiles(ctx, filepath.Join(j.dir, "test/integration"))
}

// nodeMySQL2 is mysql2 with the tests of an older version of it.
func nodeMySQL2(ctx context.Context, c *cache) (string, error) {
	old, err := c.npm(ctx, "mysql2-old", mysql2TestVersion)
	if err != nil {
		return "", err
	}
	return c.once("npm/mysql2-tests", func(work string) error {
		args := []string{"npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", work}
		if _, err := do(ctx, work, append(args, mysql2Version, "assert-diff@1", "portfinder@1", "utest@0.0.8", "sqlstring@2")...); err != nil {
			return err
		}
		// What the tests import by a name that is no more.
		alias := filepath.Join(work, "node_modules/mysql2/lib/sql_string.js")
		if err := os.WriteFile(alias, []byte("module.exports = require('sqlstring');\n"), 0o644); err != nil {
			return err
		}
		_, err := do(ctx, work, "cp", "-r", filepath.Join(old, "node_modules/mysql2/test"), filepath.Join(work, "node_modules/mysql2/test"))
		return err
	})
}

func runNodeMySQL2(ctx context.Context, j *job) (results, error) {
	got, err := j.nodeFiles(ctx, filepath.Join(j.dir, "node_modules/mysql2/test/integration"))
	if err != nil {
		return nil, err
	}
	examples, err := j.nodeProgram(ctx, "mysql2.js")
	for name, o := range examples {
		got["examples: "+name] = o
	}
	return got, err
}

func nodeMariaDB(ctx context.Context, c *cache) (string, error) {
	return c.npm(ctx, "mariadb", mariadbVersion)
}

func runNodeMariaDB(ctx context.Context, j *job) (results, error) {
	return j.nodeProgram(ctx, "mariadb.js")
}
