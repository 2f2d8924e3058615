package router_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/telamondb/telamon/router"
)

var rewriteDocs = flag.Bool("rewrite-docs", false, "write the table of reasons into docs/routing.md")

// The table of reasons in the documentation is that of the code.
func TestDocumentationListsAllReasons(t *testing.T) {
	const path, heading = "../docs/routing.md", "## The reasons\n"
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, _, found := strings.Cut(string(doc), heading)
	if !found {
		t.Fatalf("%s has no %q", path, heading)
	}
	var b strings.Builder
	b.WriteString(text + heading + "\n| reason | means |\n|---|---|\n")
	for r := router.Reason(0); r < router.NumReasons; r++ {
		fmt.Fprintf(&b, "| `%v` | %s |\n", r, r.Explain())
	}
	if *rewriteDocs {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if b.String() != string(doc) {
		t.Errorf("the table in %s is not that of reason.go: run go test ./router -rewrite-docs", path)
	}
}
