package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/telamondb/telamon"

// Packages of others, by the prefix of their import path.
const (
	edwards     = "filippo.io/edwards25519"
	cobra       = "github.com/spf13/cobra"
	datadriven  = "github.com/cockroachdb/datadriven"
	goCmp       = "github.com/google/go-cmp"
	goleak      = "go.uber.org/goleak"
	klauspost   = "github.com/klauspost/compress"
	goMySQL     = "github.com/go-mysql-org/go-mysql/mysql"
	mysqlDriver = "github.com/go-sql-driver/mysql"
	prometheus  = "github.com/prometheus/client_golang"
	tidbParser  = "github.com/pingcap/tidb/pkg/parser"
	toml        = "github.com/BurntSushi/toml"
	xSys        = "golang.org/x/sys/unix"
	zap         = "go.uber.org/zap"
)

// allowed is the import graph: what a package may import besides the standard
// library. A name ending in /* stands for everything below; as a key it is the
// rule of the packages without a line of their own.
//
// The direction is the point. Protocol (wire), policy (router) and state
// (backend) do not know each other; conf is known to cmd alone; admin sees the
// rest through interfaces it declares itself. A line grows only with a reason
// that survives review.
var allowed = map[string][]string{
	"cmd/telamon": {
		"conf", "admin", "proxy", "proxy/session", "router", "router/lex", "router/ast",
		"backend", "backend/account", "backend/causal", "backend/pool", "backend/monitor", "backend/failover", "wire", "wire/auth", "internal/*",
		cobra, prometheus, zap,
	},
	"conf": {toml},

	"wire":            {},
	"wire/auth":       {edwards},
	"wire/compress":   {"wire", klauspost},
	"wire/proxyproto": {},
	"wire/wiretest":   {"wire", "wire/auth"},

	"router/lex": {},
	"router":     {"router/lex"},
	"router/ast": {"router/lex", tidbParser},

	"backend":          {"internal/metric", goMySQL},
	"backend/account":  {"backend", "backend/pool", "wire", "wire/auth"},
	"backend/causal":   {},
	"backend/pool":     {"backend", "wire", "wire/auth", "wire/compress", "wire/proxyproto", "internal/*"},
	"backend/monitor":  {"backend", "wire/proxyproto", "internal/*", mysqlDriver},
	"backend/failover": {"backend", "internal/*"},

	// backend/pool for its values alone (Profile, Login): the session says in
	// the pool's words what state a connection must be in.
	"proxy/session": {"router", "router/lex", "wire", "backend/pool"},
	"proxy": {
		"proxy/session", "router", "router/lex", "wire", "wire/auth", "wire/compress", "wire/proxyproto", "backend", "backend/causal", "backend/pool", "internal/*", zap,
	},

	// The console speaks MySQL: framing and login are wire's.
	"admin": {"wire", "wire/auth", "internal/metric", prometheus, zap},

	// Helpers use the standard library and each other. Those below also start
	// or talk to real servers, for the demo and the tests.
	"internal/*":           {"internal/*", xSys},
	"internal/demo":        {"internal/localproxy", "internal/localserver", "internal/child", mysqlDriver},
	"internal/localproxy":  {"internal/localserver", "internal/child", mysqlDriver},
	"internal/localserver": {"internal/child", mysqlDriver},

	// Black boxes: they may use servers and clients, not the proxy's insides.
	"integration":         {"integration/harness", "internal/*"},
	"integration/suites":  {"internal/*", mysqlDriver},
	"integration/harness": {"internal/*", mysqlDriver, xSys},
	"integration/bench":   {"integration/bench/*", "integration/harness", "internal/*", mysqlDriver, xSys},
	"integration/bench/*": {"integration/bench/*", "internal/*", mysqlDriver, xSys},
}

// allowedInTests is what the test files of every package may import as well.
// Nothing else may import it.
var allowedInTests = []string{
	"wire/wiretest", "internal/certs", "internal/localserver", "internal/localproxy", "integration/harness",
	datadriven, goCmp, goleak, mysqlDriver,
}

// allowedInTestsOf adds to that for single packages: parsers as oracles, the
// rest of the program where a test puts parts together.
var allowedInTestsOf = map[string][]string{
	"admin":               {zap},
	"backend":             {goMySQL},
	"internal/localproxy": {toml},
	"router":              {tidbParser},
	"router/lex":          {tidbParser, xSys},
	"router/ast":          {tidbParser},
	"wire":                {goMySQL},
	"wire/auth":           {"wire"},
	"backend/pool":        {"integration/bench/fakebackend", "integration/bench/dataset"},
	"proxy":               {"integration/bench/fakebackend", "integration/bench/dataset", "backend/monitor", zap},
	"proxy/session":       {zap},
	"integration":         {"wire", "wire/auth", "wire/compress", xSys},
}

// importOf is one import of one file.
type importOf struct {
	pkg  string // folder below the module's root
	file string
	test bool
	path string // module relative for packages of the module
}

func TestPackagesImportOnlyWhatTheArchitectureAllows(t *testing.T) {
	imports := moduleImports(t, filepath.Join("..", ".."))
	if len(imports) < 100 {
		t.Fatalf("found only %d imports; is this the module?", len(imports))
	}
	for _, problem := range check(imports) {
		t.Error(problem)
	}
}

func TestEveryRuleOfTheTableIsObeyed(t *testing.T) {
	tests := []struct {
		name string
		imp  importOf
		want string
	}{
		{"the standard library is free", importOf{"wire", "a.go", false, "net"}, ""},
		{"an edge of the table", importOf{"router", "a.go", false, "router/lex"}, ""},
		{"an edge against the direction", importOf{"router/lex", "a.go", false, "router"}, "router/lex must not import router (a.go)"},
		{"conf outside cmd", importOf{"proxy", "a.go", false, "conf"}, "proxy must not import conf (a.go)"},
		{"protocol outside its users", importOf{"router", "a.go", false, "wire"}, "router must not import wire (a.go)"},
		{"test support in the program", importOf{"proxy", "a.go", false, "wire/wiretest"}, "proxy must not import wire/wiretest (a.go)"},
		{"test support in a test", importOf{"proxy", "a_test.go", true, "wire/wiretest"}, ""},
		{"a test of its own package", importOf{"wire", "a_test.go", true, "wire"}, ""},
		{"a program library in a test", importOf{"wire", "a_test.go", true, cobra}, "wire must not import github.com/spf13/cobra (a_test.go)"},
		{"a part of a library", importOf{"router/ast", "a.go", false, tidbParser + "/ast"}, ""},
		{"a library that begins the same", importOf{"router/ast", "a.go", false, tidbParser + "x"}, "router/ast must not import github.com/pingcap/tidb/pkg/parserx (a.go)"},
		{"a helper without a line of its own", importOf{"internal/clock", "a.go", false, xSys}, ""},
		{"a helper that knows the program", importOf{"internal/clock", "a.go", false, "proxy"}, "internal/clock must not import proxy (a.go)"},
		{"a package nobody has planned", importOf{"util", "a.go", false, "net"}, "package util has no line in the table of internal/archtest"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(check([]importOf{test.imp}), "\n"); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// check returns what the imports violate, one sentence each.
func check(imports []importOf) []string {
	var problems []string
	for _, imp := range imports {
		rule, ok := ruleOf(imp.pkg)
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("package %s has no line in the table of internal/archtest", imp.pkg))
		case isStd(imp.path), matches(rule, imp.path):
		case imp.test && (imp.path == imp.pkg || matches(allowedInTests, imp.path) || matches(allowedInTestsOf[imp.pkg], imp.path)):
		default:
			problems = append(problems, fmt.Sprintf("%s must not import %s (%s)", imp.pkg, imp.path, imp.file))
		}
	}
	slices.Sort(problems)
	return slices.Compact(problems)
}

func ruleOf(pkg string) (rule []string, ok bool) {
	if rule, ok = allowed[pkg]; !ok {
		rule, ok = allowed[path.Dir(pkg)+"/*"]
	}
	return rule, ok
}

func matches(rule []string, imported string) bool {
	return slices.ContainsFunc(rule, func(name string) bool {
		if below, ok := strings.CutSuffix(name, "*"); ok {
			return strings.HasPrefix(imported, below)
		}
		// A library is allowed with its parts, a package of ours is not.
		return imported == name || !isLocal(name) && strings.HasPrefix(imported, name+"/")
	})
}

// isLocal tells a package of the module from a library: the first element of
// a library's path is a host name.
func isLocal(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".")
}

// isStd tells whether a path is of the standard library: neither a library nor
// below one of the module's folders.
func isStd(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	folders := []string{"admin", "backend", "cmd", "conf", "integration", "internal", "proxy", "router", "wire"}
	return isLocal(name) && !slices.Contains(folders, first)
}

// moduleImports reads the imports of all Go files below root, whatever their
// build tags.
func moduleImports(t *testing.T, root string) []importOf {
	t.Helper()
	var imports []importOf
	err := fs.WalkDir(os.DirFS(root), ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(file) != ".go":
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, importOf{
				pkg:  path.Dir(file),
				file: file,
				test: strings.HasSuffix(file, "_test.go"),
				path: strings.TrimPrefix(name, module+"/"),
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}
