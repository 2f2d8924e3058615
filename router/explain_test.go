package router_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
)

// TestExplain runs the stories of testdata: one statement per line, each with
// its kind, target, reason and pins. "route" takes the session's state and the
// lexer's mode as arguments; \xNN in a statement is a byte, \n a newline.
func TestExplain(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "route" {
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			mode, view, rules := arguments(t, d)
			var out strings.Builder
			for _, line := range strings.Split(d.Input, "\n") {
				text, err := strconv.Unquote(`"` + strings.ReplaceAll(line, `"`, `\"`) + `"`)
				if err != nil {
					text = line // has backslashes of its own
				}
				e := router.Explain([]byte(text), mode, view, rules)
				fmt.Fprintf(&out, "%-12s %-8s %-22s", e.Kind, e.Target, e.Reason)
				if e.Pins != "" {
					fmt.Fprintf(&out, " pins=%s", e.Pins)
				}
				if e.Constraint != "" {
					fmt.Fprintf(&out, " %s", e.Constraint)
				}
				out.WriteString("  <- " + line + "\n")
			}
			return strings.ReplaceAll(out.String(), "   <- ", "  <- ")
		})
	})
}

func arguments(t *testing.T, d *datadriven.TestData) (lex.Mode, router.SessionView, *router.Rules) {
	mode := lex.Mode{}
	view := router.SessionView{Autocommit: true, LastWasPrimary: true}
	var rules router.Rules
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "mysql":
			mode.Flavor = lex.FlavorMySQL
		case "mariadb":
			mode.Flavor = lex.FlavorMariaDB
		case "charset":
			mode.Charset = lex.CharsetByName(arg.Vals[0])
		case "ansi":
			mode.SQLMode |= lex.ANSIQuotes
		case "nbe":
			mode.SQLMode |= lex.NoBackslashEscapes
		case "oracle":
			mode.SQLMode |= lex.Oracle
		case "autocommit_off":
			view.Autocommit = false
		case "in_transaction":
			view.InTransaction = true
		case "on_replica":
			view.TransactionOn = router.Replica
		case "after_replica_read":
			view.LastWasPrimary = false
		case "write_listener":
			view.Listener = router.WriteOnly
		case "read_listener":
			view.Listener = router.ReadOnly
		case "pins":
			for _, name := range arg.Vals {
				view.Pins |= pinByName(t, name)
			}
		case "guard":
			rules.Guard = router.Guard{DenyNoWhere: true, DeniedFunctions: []string{"sleep", "benchmark"}}
		case "report_rule":
			view.User = "report"
			rules.Rules = []router.Rule{{Name: "reports", User: "report", Route: router.RouteTag, Arg: "report", Timeout: 30 * time.Second}}
		default:
			d.Fatalf(t, "unknown argument %s", arg.Key)
		}
	}
	return mode, view, &rules
}

func pinByName(t *testing.T, name string) router.PinSet {
	for p := router.PinSet(1); p.String() != ""; p <<= 1 {
		if p.String() == name {
			return p
		}
	}
	t.Fatalf("no pin %q", name)
	return 0
}
