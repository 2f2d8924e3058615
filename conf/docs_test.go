package conf

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	tomlExample = regexp.MustCompile("(?s)```toml\n(.*?)```")
	tlsKeyPath  = regexp.MustCompile(`"/etc/telamon/tls/[a-z-]*key\.pem"`)
	tlsPath     = regexp.MustCompile(`"/etc/telamon/tls/[a-z-]+\.pem"`)
	secretPath  = regexp.MustCompile(`file:/etc/telamon/([a-z.]+)`)
)

// examples returns the TOML blocks of a page of docs/.
func examples(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range tomlExample.FindAllStringSubmatch(string(text), -1) {
		list = append(list, m[1])
	}
	return list
}

func TestTheExamplesOfTheDocumentationAreValid(t *testing.T) {
	list := slices.Concat(examples(t, "configuration.md"), examples(t, "tls.md"), examples(t, "accounts.md"))
	if len(list) < 12 {
		t.Fatalf("found %d examples", len(list))
	}
	dir := t.TempDir()
	for _, example := range list {
		example = tlsKeyPath.ReplaceAllString(example, `"testdata/tls/key.pem"`)
		example = strings.ReplaceAll(example, "/etc/telamon/tls/primary-public.pem", "testdata/tls/server-public.pem")
		example = tlsPath.ReplaceAllString(example, `"testdata/tls/cert.pem"`)
		text := secretPath.ReplaceAllString(example, "file:"+dir+"/$1")
		for _, m := range secretPath.FindAllStringSubmatch(example, -1) {
			writeMode(t, filepath.Join(dir, m[1]), "s3cret\n", 0o600)
		}
		env := func(name string) (string, bool) {
			return "s3cret", name == "TELAMON_MONITOR_PASSWORD" && strings.Contains(example, name)
		}
		cfg, problems := Parse("example.toml", []byte(completed(text)), env)
		if cfg == nil || len(problems) > 0 {
			t.Errorf("problems:\n%s\nin:\n%s", lines(problems), example)
		}
	}
}

// completed adds to an example what every file needs and it does not show.
func completed(example string) string {
	for _, part := range []struct{ mark, text string }{
		{"[admin]", "[admin]\npassword = \"s3cret\"\n"},
		{"[[users]]", "[[users]]\nname = \"application\"\npassword = \"pw\"\n"},
		{"[[backends]]", "[[backends]]\naddress = \"192.168.1.150:3306\"\nrole = \"rw\"\n"},
	} {
		if !strings.Contains(example, part.mark) && !(part.mark == "[[users]]" && strings.Contains(example, `source = "backend"`)) {
			example += part.text
		}
	}
	return example
}

func TestTheProblemsShownInTheDocumentationAreReal(t *testing.T) {
	example := examples(t, "configuration.md")[0]
	text := strings.Replace(secretPath.ReplaceAllString(example, "x"), "weight = 5\n", "weight = -3\nmax_lagg = \"1s\"\n", 1)
	_, problems := Parse("/etc/telamon/telamon.toml", []byte(text), noEnv)
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(problems); len(problems) != 2 || !strings.Contains(string(page), got) {
		t.Errorf("the page does not show\n%s", got)
	}
}
