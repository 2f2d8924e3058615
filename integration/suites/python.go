package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
)

const python = "/usr/bin/python3" // Debian's, with Debian's packages

// pytest runs tests in dir and reads pytest's report.
func (j *job) pytest(ctx context.Context, dir string, env []string, args ...string) (results, error) {
	report := filepath.Join(j.scratch, "report.xml")
	_, err := j.output(ctx, command{
		dir:  dir,
		env:  append([]string{"PYTHONDONTWRITEBYTECODE=1"}, env...),
		args: append([]string{python, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--junitxml=" + report}, args...),
	})
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return nil, err
	}
	return parseJUnit(text)
}

var pymysqlSchemas = []string{
	"ALTER DATABASE " + schema + " CHARACTER SET utf8mb4",
	"CREATE DATABASE test2 CHARACTER SET utf8mb4",
}

func pymysql(ctx context.Context, c *cache) (string, error) {
	return c.debianSource(ctx, "python-pymysql", "trixie", "sid", "bookworm")
}

func runPyMySQL(ctx context.Context, j *job) (results, error) {
	// The tests read their databases from a file beside them.
	dir := filepath.Join(j.scratch, "pymysql")
	if _, err := do(ctx, "", "cp", "-r", j.dir, dir); err != nil {
		return nil, err
	}
	database := func(name string) map[string]any {
		return map[string]any{
			"host": host, "port": j.portNumber(), "user": user, "password": password, "database": name,
			"use_unicode": true, "local_infile": true,
		}
	}
	text, err := json.Marshal([]any{database(schema), database("test2")})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "pymysql/tests/databases.json"), text, 0o600); err != nil {
		return nil, err
	}
	return j.pytest(ctx, dir, nil, "pymysql")
}
