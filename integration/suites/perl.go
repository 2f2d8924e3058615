package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
)

// perlSchema is what DBD::MariaDB's tests insist on; DBD::mysql's do not mind.
var perlSchema = []string{"ALTER DATABASE " + schema + " CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"}

var perlPackages = []string{"libdbd-mariadb-perl", "libdbd-mysql-perl", "libtest-deep-perl", "libproc-processtable-perl", "libnet-ssleay-perl", "perl"}

func dbdMariaDB(ctx context.Context, c *cache) (string, error) {
	return c.debianSource(ctx, "libdbd-mariadb-perl", "bookworm", "trixie", "sid")
}

func dbdMySQL(ctx context.Context, c *cache) (string, error) {
	return c.debianSource(ctx, "libdbd-mysql-perl", "bookworm", "trixie", "sid")
}

func runDBDMariaDB(ctx context.Context, j *job) (results, error) { return j.prove(ctx, "MariaDB") }

func runDBDMySQL(ctx context.Context, j *job) (results, error) { return j.prove(ctx, "mysql") }

// prove runs the tests of a DBD module against the module that is installed.
func (j *job) prove(ctx context.Context, driver string) (results, error) {
	out, err := j.output(ctx, command{
		dir: j.dir,
		env: []string{
			"DBI_DSN=DBI:" + driver + ":database=" + schema + ";host=" + host + ";port=" + j.port(),
			"DBI_USER=" + user, "DBI_PASS=" + password, "PERL_USE_UNSAFE_INC=1",
		},
		args: []string{"/usr/bin/prove", "--verbose", "t/"},
	})
	return parseProve(out), err
}

// proveFile is the line of a file's beginning: "t/00base.t ... ".
var proveFile = regexp.MustCompile(`^(\S+\.t) \.+ ?`)

// parseProve reads the output of prove --verbose. A file that ends otherwise than it
// planned is a failed test of the file's name.
func parseProve(output []byte) results {
	got := results{}
	file, lines := "", []byte(nil)
	flush := func() {
		if file == "" {
			return
		}
		for name, o := range parseTAP(file+" ", lines) {
			got.add(name, o)
		}
	}
	for line := range bytes.Lines(output) {
		text := strings.TrimSpace(string(line))
		if m := proveFile.FindStringSubmatch(text); m != nil {
			flush()
			file, lines = m[1], nil
			text = text[len(m[0]):]
		}
		switch {
		case text == "Test Summary Report":
			flush()
			return got
		case strings.HasPrefix(text, "Dubious, test returned"), strings.HasPrefix(text, "No subtests run"), strings.Contains(text, "tests planned"):
			got[file] = failed
		case strings.HasPrefix(text, "skipped: "):
			got[file] = skipped
		case !strings.HasPrefix(string(line), " "): // subtests are indented
			lines = append(lines, line...)
		}
	}
	flush()
	return got
}
