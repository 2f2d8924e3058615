package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files in testdata")

// exec runs one command line with an empty standard input.
func exec(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(""), &out, &errOut)
	return code, out.String(), errOut.String()
}

// golden compares got with a file in testdata, or rewrites that file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-), got (+); go test -rewrite accepts it:\n%s", file, diff)
	}
}

// commands lists the command lines of all commands, without those cobra adds.
func commands(cmd *cobra.Command, prefix []string) [][]string {
	list := [][]string{prefix}
	for _, sub := range cmd.Commands() {
		list = append(list, commands(sub, append(prefix[:len(prefix):len(prefix)], sub.Name()))...)
	}
	return list
}

func TestHelpOfEveryCommandIsAsCommitted(t *testing.T) {
	for _, words := range commands(newRootCommand(), nil) {
		t.Run(strings.Join(append([]string{"telamon"}, words...), " "), func(t *testing.T) {
			code, stdout, stderr := exec(t, append(words, "--help")...)
			if code != exitOK || stderr != "" {
				t.Errorf("exit code %d, stderr %q", code, stderr)
			}
			name := strings.Join(append([]string{"help"}, words...), "-")
			golden(t, filepath.Join("testdata", name+".txt"), stdout)
		})
	}
}

const minimal = `
admin.password = "s3cret"
[[users]]
name = "app"
password = "pw"
[[backends]]
address = "192.168.1.150:3306"
role = "rw"
`

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExitCodesAndOutput(t *testing.T) {
	good := writeFile(t, "good.toml", minimal)
	warned := writeFile(t, "warned.toml", strings.Replace(minimal, `"pw"`, `""`, 1))
	bad := writeFile(t, "bad.toml", minimal+"weight = -3\ncolour = 1\n")
	atlas := writeFile(t, "test.cnf", "[mysql-proxy]\nadmin-password=x\ndaemon=true\npwds=a:+jKsgB3YAG8=\n")
	missing := filepath.Join(t.TempDir(), "missing.toml")
	tests := []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"a good file", []string{"check-config", good}, exitOK, good + ": ok\n", ""},
		{
			"a file with a warning", []string{"check-config", warned}, exitOK,
			warned + `:5: warning: users[0].password: is empty: whoever reaches the port can log in as "app"` + "\n" + warned + ": ok\n", "",
		},
		{
			"every problem of a bad file", []string{"check-config", bad}, exitUsage,
			bad + ":9: backends[0].weight: must be between 0 and 1000, is -3\n" + bad + ":10: backends[0].colour: unknown key\n", "",
		},
		{"a file that is not there", []string{"check-config", missing}, exitUsage, missing + ": no such file or directory\n", ""},
		{
			"no file", []string{"check-config"}, exitUsage, "",
			"telamon: accepts 1 arg(s), received 0; see telamon check-config --help\n",
		},
		{
			"two files", []string{"check-config", good, bad}, exitUsage, "",
			"telamon: accepts 1 arg(s), received 2; see telamon check-config --help\n",
		},
		{
			"an unknown flag", []string{"check-config", "--strict", good}, exitUsage, "",
			"telamon: unknown flag: --strict; see telamon check-config --help\n",
		},
		{
			"an unknown command", []string{"chek-config"}, exitUsage, "",
			"telamon: unknown command \"chek-config\" for \"telamon\"; see telamon --help\n",
		},
		{
			"an Atlas file", []string{"import-atlas", atlas}, exitOK,
			"[admin]\npassword = \"x\"\n\n[[users]]\nname = \"a\"\npassword = \"atlas:+jKsgB3YAG8=\"\n\n[[backends]]\naddress = \"127.0.0.1:3306\"\nrole = \"rw\"\n",
			atlas + ": line 3: daemon: is left out: Telamon runs in the foreground, under systemd\n" +
				atlas + ": line 4: pwds: atlas: passwords can be read by whoever reads the file; file:PATH keeps them apart\n",
		},
		{
			"a file that is none of Atlas's", []string{"import-atlas", good}, exitUsage, "",
			"telamon: " + good + ": is not an Atlas configuration: there is nothing in the group [mysql-proxy]\n",
		},
		{
			"an Atlas file that is not there", []string{"import-atlas", missing}, exitUsage, "",
			"telamon: open " + missing + ": no such file or directory\n",
		},
		{"version with an argument", []string{"version", "x"}, exitUsage, "", "telamon: unknown command \"x\" for \"telamon version\"; see telamon version --help\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := exec(t, test.args...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if diff := cmp.Diff(test.stdout, stdout); diff != "" {
				t.Errorf("stdout: want (-), got (+):\n%s", diff)
			}
			if diff := cmp.Diff(test.stderr, stderr); diff != "" {
				t.Errorf("stderr: want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestACommandLineOfFlagsIsServe(t *testing.T) {
	tests := []struct {
		name       string
		args, want []string
	}{
		{"nothing", nil, nil},
		{"a command", []string{"check-config", "--help"}, []string{"check-config", "--help"}},
		{"help", []string{"--help"}, []string{"--help"}},
		{"short help", []string{"-h"}, []string{"-h"}},
		{"a configuration", []string{"--config", "f"}, []string{"serve", "--config", "f"}},
		{"Atlas's command line", []string{"--defaults-file=f"}, []string{"serve", "--defaults-file=f"}},
		{"Atlas's version flag", []string{"-V"}, []string{"version"}},
		{"everybody's version flag", []string{"--version"}, []string{"version"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, withServe(test.args)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestVersionPrintsOneLine(t *testing.T) {
	line := regexp.MustCompile(`^telamon \S+ \(commit \S+, go\S+ linux/\S+\)\n$`)
	for _, args := range [][]string{{"version"}, {"--version"}, {"-V"}} {
		if code, stdout, _ := exec(t, args...); code != exitOK || !line.MatchString(stdout) {
			t.Errorf("%v: exit code %d, %q", args, code, stdout)
		}
	}
}

func TestVersionComesFromTheLinkerOrTheBuildInformation(t *testing.T) {
	info := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	modified := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	tests := []struct {
		name                        string
		linkedVersion, linkedCommit string
		info                        *debug.BuildInfo
		wantVersion, wantCommit     string
	}{
		{"linked", "1.2.3", "abc", info("v9", revision, modified), "1.2.3", "abc"},
		{"installed by go install", "", "", info("v1.2.3"), "v1.2.3", "unknown"},
		{"built in a clone", "", "", info("(devel)", revision), "devel", "0123456789ab"},
		{"built in a clone with changes", "", "", info("(devel)", revision, modified), "devel", "0123456789ab+changes"},
		{"built without any information", "", "", nil, "devel", "unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, c := buildVersion(test.linkedVersion, test.linkedCommit, test.info)
			if v != test.wantVersion || c != test.wantCommit {
				t.Errorf("got %s, %s; want %s, %s", v, c, test.wantVersion, test.wantCommit)
			}
		})
	}
}

func TestCompletionIsThere(t *testing.T) {
	if code, stdout, _ := exec(t, "completion", "bash"); code != exitOK || !strings.Contains(stdout, "__start_telamon") {
		t.Errorf("exit code %d, %d bytes", code, len(stdout))
	}
}
