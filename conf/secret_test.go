package conf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSecretsDoNotPrint(t *testing.T) {
	cfg := mustParse(t, minimal)
	s := NewSecret("s3cret")
	marshalled, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"%v": fmt.Sprintf("%v", s), "%+v": fmt.Sprintf("%+v", s), "%#v": fmt.Sprintf("%#v", s),
		//lint:ignore S1025 the verb is what is tested
		"%s": fmt.Sprintf("%s", s), "%q": fmt.Sprintf("%q", s), "%v of a pointer": fmt.Sprintf("%v", &s),
		"%+v of the configuration": fmt.Sprintf("%+v", cfg), "%#v of the configuration": fmt.Sprintf("%#v", *cfg),
		"JSON of the configuration": string(marshalled),
	} {
		if strings.Contains(text, "s3cret") || !strings.Contains(text, "***") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if s.Reveal() != "s3cret" {
		t.Error("Reveal does not")
	}
}

func TestSecretsAreEqualByTheirText(t *testing.T) {
	if a, b := NewSecret("a"), NewSecret("a"); !a.Equal(b) {
		t.Error("equal secrets differ")
	}
	if a, b := NewSecret("a"), NewSecret("b"); a.Equal(b) {
		t.Error("different secrets are equal")
	}
	if !(Secret{}).Empty() || NewSecret("a").Empty() {
		t.Error("Empty is wrong")
	}
}

func TestSourcesOfSecrets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("relative", "r\n")
	env := func(name string) (string, bool) { return "from env", name == "SET" }
	r := secretReader{dir: dir, env: env}
	tests := []struct {
		name, text, want string
		source           secretSource
	}{
		{"plain text", "p@ss word", "p@ss word", secretReadable},
		{"plain text with a colon", "a:b", "a:b", secretReadable},
		{"text marked as plain", "plain:env:SET", "env:SET", secretReadable},
		{"nothing", "", "", secretReadable},
		{"a variable", "env:SET", "from env", secretElsewhere},
		{"a file without newline", "file:" + write("none", "x"), "x", secretElsewhere},
		{"a file with a newline", "file:" + write("one", "x\n"), "x", secretElsewhere},
		{"a file with a newline of Windows", "file:" + write("crlf", "x\r\n"), "x", secretElsewhere},
		{"a file with two newlines, one of which belongs to it", "file:" + write("two", "x\n\n"), "x\n", secretElsewhere},
		{"a file with blanks, which belong to it", "file:" + write("blanks", " x \n"), " x ", secretElsewhere},
		{"an empty file", "file:" + write("empty", ""), "", secretElsewhere},
		{"a file beside the configuration", "file:relative", "r", secretElsewhere},
		{"Atlas's form of Xp29at5F37", "atlas:qtyU1btXOo074Itvx0UR9Q==", "Xp29at5F37", secretReadable},
		{"Atlas's form of user1", "atlas:+jKsgB3YAG8=", "user1", secretReadable},
		{"Atlas's form of user2", "atlas:GS+tr4TPgqc=", "user2", secretReadable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, source, err := r.read(test.text)
			if err != nil || got.Reveal() != test.want || source != test.source {
				t.Errorf("got %q, source %d, error %v; want %q, %d", got.Reveal(), source, err, test.want, test.source)
			}
		})
	}
}

func TestSecretsThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "long"), make([]byte, maxSecretFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := secretReader{dir: dir, env: noEnv}
	tests := []struct{ name, text, want string }{
		{"a variable that is not set", "env:NOPE", "environment variable NOPE is not set"},
		{"a file that is not there", "file:nope", "secret in " + dir + "/nope: no such file or directory"},
		{"no file", "file:", "file: names no file"},
		{"a file that would never end", "file:/dev/zero", "secret in /dev/zero: is not a regular file"},
		{"a file that would block", "file:fifo", "secret in " + dir + "/fifo: is not a regular file"},
		{"a file too long for a password", "file:long", "secret in " + dir + "/long: is longer than 65536 bytes"},
		{"Atlas's form, not base64", "atlas:***", errNotAtlas.Error()},
		{"Atlas's form, empty", "atlas:", errNotAtlas.Error()},
		{"Atlas's form, cut off", "atlas:qtyU1btXOo074Itvx0UR", errNotAtlas.Error()},
		{"Atlas's form, under another key", "atlas:AAAAAAAAAAA=", errNotAtlas.Error()},
		{"the encrypted form", "enc:eA==", "enc: is not supported by this version; use file:PATH or env:NAME"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := r.read(test.text)
			if err == nil || err.Error() != test.want || !got.Empty() {
				t.Errorf("got %q, error %v; want %s", got.Reveal(), err, test.want)
			}
		})
	}
}

func TestLoadWarnsOfFilesOthersMayRead(t *testing.T) {
	const warning = "contains passwords and can be read by other accounts"
	fromFile := strings.NewReplacer(`"s3cret"`, `"file:pw"`, `"pw"`, `"file:pw"`).Replace(minimal)
	tests := []struct {
		name, text       string
		mode, secretMode os.FileMode
		want             string
	}{
		{"passwords in a file of its owner alone", minimal, 0o600, 0o600, ""},
		{"passwords in a file of a group", minimal, 0o640, 0o600, warning + " (mode 0640)"},
		{"passwords in a file of everybody", minimal, 0o644, 0o600, warning + " (mode 0644)"},
		{"no passwords in a file of everybody", fromFile, 0o644, 0o640, ""},
		{"a password file of everybody", fromFile, 0o644, 0o644, "the file it comes from can be read by everybody"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "telamon.toml")
			writeMode(t, path, test.text, test.mode)
			writeMode(t, filepath.Join(dir, "pw"), "x\n", test.secretMode)
			cfg, problems := Load(path, noEnv)
			if cfg == nil {
				t.Fatalf("refused:\n%s", lines(problems))
			}
			if got := lines(problems); (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// writeMode writes a file with exactly that mode, whatever the umask.
func writeMode(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestLoadSaysWhyAFileCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "nope.toml"): "no such file or directory",
		dir:                             "is a directory",
	} {
		cfg, problems := Load(path, noEnv)
		if got := lines(problems); cfg != nil || got != path+": "+want+"\n" {
			t.Errorf("got %v, %q", cfg, got)
		}
	}
}
