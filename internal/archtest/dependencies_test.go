package archtest

import (
	"os"
	"strings"
	"testing"
)

func TestEveryDirectDependencyIsExplained(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := 0
	for line := range strings.Lines(string(mod)) {
		words := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(words) != 2 || !strings.Contains(words[0], ".") { // indirect ones have a comment
			continue
		}
		direct++
		if !strings.Contains(string(page), "| `"+words[0]+"` |") {
			t.Errorf("%s has no line in docs/dependencies.md", words[0])
		}
	}
	if direct < 5 {
		t.Errorf("found only %d dependencies", direct)
	}
}
