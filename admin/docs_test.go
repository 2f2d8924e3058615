package admin

import (
	"os"
	"strings"
	"testing"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheManualNamesEveryCommand(t *testing.T) {
	doc := readDoc(t, "console.md")
	for _, c := range commands() {
		if c.help != "" && !strings.Contains(doc, "`"+c.pattern+"`") {
			t.Errorf("docs/console.md lacks `%s`", c.pattern)
		}
	}
}

// TestTheManualsExamplesWork runs the ```sql blocks of docs/console.md, each
// on a console of its own.
func TestTheManualsExamplesWork(t *testing.T) {
	blocks := strings.Split(readDoc(t, "console.md"), "```sql\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("no examples")
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		conn := newRig(t).open(t, nil)
		for line := range strings.Lines(block) {
			if out := run(conn, line); strings.HasPrefix(out, "ERROR") {
				t.Errorf("%s%s", line, out)
			}
		}
	}
}

func TestTheManualNamesEveryMetric(t *testing.T) {
	doc := readDoc(t, "monitoring.md")
	golden, err := os.ReadFile("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		rest, isType := strings.CutPrefix(line, "# TYPE ")
		if !isType {
			continue
		}
		name, _, _ := strings.Cut(rest, " ")
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/monitoring.md lacks `%s`", name)
		}
	}
}
