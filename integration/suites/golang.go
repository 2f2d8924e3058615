package main

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
)

// goTest runs go test -json in dir. The excluded tests are not run: some would end
// the whole run.
func (j *job) goTest(ctx context.Context, dir string, env []string, args ...string) (results, error) {
	if skip := goSkip(j.excluded); skip != "" {
		args = append([]string{"-skip=" + skip}, args...)
	}
	out, err := j.output(ctx, command{
		dir:  dir,
		env:  append([]string{"GOFLAGS=-buildvcs=false", "GOWORK=off"}, env...),
		args: append([]string{"go", "test", "-json", "-count=1", "-timeout=25m"}, args...),
	})
	return parseGo(out), err
}

// goSkip is the pattern of go test -skip for exclusions such as "mysql.TestA/b*".
func goSkip(excluded []string) string {
	var patterns []string
	for _, name := range excluded {
		_, test, ok := strings.Cut(name, ".")
		if !ok {
			continue
		}
		elements := strings.Split(test, "/")
		for i, e := range elements {
			elements[i] = "^" + strings.ReplaceAll(regexp.QuoteMeta(e), `\*`, ".*") + "$"
		}
		patterns = append(patterns, strings.Join(elements, "/"))
	}
	return strings.Join(patterns, "|")
}

func (j *job) goDSN(schema, params string) string {
	return user + ":" + password + "@tcp(" + j.addr + ")/" + schema + "?" + params
}

func goDriver(ctx context.Context, c *cache) (string, error) {
	return c.goModule(ctx, "github.com/go-sql-driver/mysql", "")
}

func runGoDriver(ctx context.Context, j *job) (results, error) {
	return j.goTest(ctx, j.dir, []string{
		"MYSQL_TEST_USER=" + user, "MYSQL_TEST_PASS=" + password, "MYSQL_TEST_PROT=tcp",
		"MYSQL_TEST_ADDR=" + j.addr, "MYSQL_TEST_DBNAME=" + schema, "MYSQL_TEST_CONCURRENT=1",
	}, "./...")
}

// gorm is GORM's source with the module of its tests, which is not published as
// one; Debian's package has it.
func gorm(ctx context.Context, c *cache) (string, error) {
	dir, err := c.debianPackage(ctx, "golang-gorm-gorm-dev", "trixie", "sid")
	if err != nil {
		return "", err
	}
	return c.once("go/gorm-tests", func(work string) error {
		if _, err := do(ctx, work, "cp", "-r", filepath.Join(dir, "usr/share/gocode/src/gorm.io/gorm")+"/.", work); err != nil {
			return err
		}
		_, err := do(ctx, filepath.Join(work, "tests"), "go", "mod", "tidy")
		return err
	})
}

func runGORM(ctx context.Context, j *job) (results, error) {
	return j.goTest(ctx, filepath.Join(j.dir, "tests"), []string{
		"GORM_DIALECT=mysql", "GORM_DSN=" + j.goDSN("gorm", "charset=utf8mb4&parseTime=True&loc=Local"),
	}, ".")
}

func xorm(ctx context.Context, c *cache) (string, error) {
	dir, err := c.goModule(ctx, "xorm.io/xorm", "v1.4.3")
	if err != nil {
		return "", err
	}
	// Its tests import the driver of a database that the module proxy does not have.
	const driver = "gitee.com/travelliu/dm"
	if _, err := do(ctx, dir, "sed", "-i", `\#"`+driver+`"#d`, "tests/engine_test.go"); err != nil {
		return "", err
	}
	_, err = do(ctx, dir, "go", "mod", "edit", "-droprequire="+driver)
	return dir, err
}

func runXorm(ctx context.Context, j *job) (results, error) {
	return j.goTest(ctx, filepath.Join(j.dir, "tests"), nil, ".",
		"-args", "-db=mysql", "-conn_str="+j.goDSN("xorm_test", "charset=utf8mb4"))
}
