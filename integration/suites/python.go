package main

import (
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

var (
	pymysqlPackages    = []string{"python3-pytest", "python3-cryptography"}
	sqlalchemyPackages = []string{"python3-pytest", "python3-cryptography", "python3-pymysql", "python3-greenlet"}
	djangoPackages     = []string{"python3-mysqldb", "python3-asgiref", "python3-sqlparse", "python3-tz"}
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

var sqlalchemySchemas = []string{
	"ALTER DATABASE " + schema + " CHARACTER SET utf8mb4",
	"CREATE DATABASE test_schema CHARACTER SET utf8mb4",
	"CREATE DATABASE test_schema_2 CHARACTER SET utf8mb4",
}

// sqlalchemy is SQLAlchemy's source, and beside it a newer typing_extensions than
// Debian 12 has.
func sqlalchemy(ctx context.Context, c *cache) (string, error) {
	typing, err := c.debianPackage(ctx, "python3-typing-extensions", "trixie", "sid")
	if err != nil {
		return "", err
	}
	source, err := c.debianSource(ctx, "sqlalchemy", "trixie", "sid", "bookworm")
	if err != nil {
		return "", err
	}
	return c.once("python/sqlalchemy", func(work string) error {
		if _, err := do(ctx, work, "cp", "-r", source+"/.", work); err != nil {
			return err
		}
		_, err := do(ctx, work, "cp", filepath.Join(typing, "usr/lib/python3/dist-packages/typing_extensions.py"), filepath.Join(work, "lib"))
		return err
	})
}

// sqlalchemyTests are those of the dialect, the conformance tests for dialects, and
// those that talk to a database most.
var sqlalchemyTests = []string{
	"test/dialect/mysql", "test/dialect/test_suite.py", "test/engine/test_execute.py", "test/engine/test_reflection.py",
	"test/engine/test_transaction.py", "test/engine/test_reconnect.py", "test/sql/test_query.py", "test/sql/test_resultset.py",
	"test/sql/test_insert_exec.py", "test/sql/test_defaults.py", "test/sql/test_types.py", "test/orm/test_transaction.py",
	"test/orm/test_session.py", "test/orm/test_unitofworkv2.py", "test/orm/test_versioning.py",
}

func runSQLAlchemy(ctx context.Context, j *job) (results, error) {
	uri := "mysql+pymysql://" + user + ":" + password + "@" + j.addr + "/" + schema + "?charset=utf8mb4"
	args := append([]string{"--dburi=" + uri, "--maxfail=100000"}, sqlalchemyTests...)
	return j.pytest(ctx, j.dir, []string{"PYTHONPATH=" + filepath.Join(j.dir, "lib")}, args...)
}

// djangoFiles are the settings and the runner that Django's tests are given.
//
//go:embed python/*.py
var djangoFiles embed.FS

func django(ctx context.Context, c *cache) (string, error) {
	return c.debianSource(ctx, "python-django", "trixie", "bookworm", "sid")
}

// djangoTests are those of the database layer.
var djangoTests = strings.Fields(`aggregation backends basic bulk_create constraints custom_pk datatypes dates datetimes
	db_functions delete expressions force_insert_update get_or_create indexes inspectdb introspection lookup
	many_to_many migrations multiple_database queries raw_query schema select_for_update timezones transaction_hooks
	transactions update`)

func runDjango(ctx context.Context, j *job) (results, error) {
	for _, file := range []string{"suite_settings.py", "suite_runner.py"} {
		text, err := fs.ReadFile(djangoFiles, "python/"+file)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(j.scratch, file), text, 0o600); err != nil {
			return nil, err
		}
	}
	args := []string{python, "runtests.py", "--settings=suite_settings", "--parallel=1", "--noinput"}
	out, err := j.output(ctx, command{
		dir: filepath.Join(j.dir, "tests"),
		env: []string{
			"MYSQL_HOST=" + host, "MYSQL_PORT=" + j.port(), "MYSQL_USER=" + user, "MYSQL_PASSWORD=" + password,
			"PYTHONPATH=" + j.scratch + ":" + j.dir, "PYTHONDONTWRITEBYTECODE=1",
		},
		args: append(args, djangoTests...),
	})
	return parseTAP("", out), err
}
