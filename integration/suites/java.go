package main

import (
	"context"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed java/RunTests.java
var javaRunTests string

// javaPackages are Debian's MariaDB Connector/J, and what its tests need. The
// sources are those of the same version.
var javaPackages = []string{
	"libmariadb-java", "junit4", "libhamcrest-java", "libhikaricp-java", "libjna-java", "liblogback-java", "libslf4j-java",
	"default-jdk-headless",
}

var javaJars = []string{
	"mariadb-java-client", "junit4", "hamcrest-all", "hamcrest", "HikariCP", "jna", "jna-platform", "logback-core", "logback-classic", "slf4j-api",
}

func classPath(first ...string) string {
	path := first
	for _, jar := range javaJars {
		path = append(path, "/usr/share/java/"+jar+".jar")
	}
	return strings.Join(path, ":")
}

// connectorJ are the compiled tests of Connector/J.
func connectorJ(ctx context.Context, c *cache) (string, error) {
	source, err := c.debianSource(ctx, "mariadb-connector-java", "bookworm", "trixie")
	if err != nil {
		return "", err
	}
	return c.once("java/connector-j", func(work string) error {
		files := []string{filepath.Join(work, "RunTests.java")}
		if err := os.WriteFile(files[0], []byte(javaRunTests), 0o644); err != nil {
			return err
		}
		err := filepath.WalkDir(filepath.Join(source, "src/test/java"), func(path string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(path, ".java") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return err
		}
		if _, err := do(ctx, work, append([]string{"javac", "-nowarn", "-d", work, "-cp", classPath()}, files...)...); err != nil {
			return err
		}
		_, err = do(ctx, work, "cp", "-r", filepath.Join(source, "src/test/resources")+"/.", work)
		return err
	})
}

func runConnectorJ(ctx context.Context, j *job) (results, error) {
	classes, err := filepath.Glob(filepath.Join(j.dir, "org/mariadb/jdbc/*Test.class"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, class := range classes {
		name := strings.TrimSuffix(filepath.Base(class), ".class")
		if name != "BaseTest" && !slices.ContainsFunc(j.excluded, func(p string) bool { return p == "org.mariadb.jdbc."+name+".*" }) {
			names = append(names, "org.mariadb.jdbc."+name)
		}
	}
	out, err := j.output(ctx, command{
		dir: j.scratch,
		env: []string{
			"TEST_DB_HOST=" + host, fmt.Sprintf("TEST_DB_PORT=%s", j.port()), "TEST_DB_USER=" + user, "TEST_DB_PASSWORD=" + password,
			"TEST_DB_DATABASE=testj", "TEST_DB_OTHER=",
		},
		args: append([]string{"java", "-Xmx1g", "-cp", classPath(j.dir), "RunTests"}, names...),
	})
	return parseTAP("", out), err
}
