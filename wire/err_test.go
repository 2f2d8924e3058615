package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/wire"
)

func TestErrOfRealServers(t *testing.T) {
	for _, c := range []struct {
		flavour, name string
		want          wire.Err
	}{
		{"mariadb", "ERR wrong password", wire.Err{Code: 1045, State: "28000", Message: "Access denied for user 'nat'@'127.0.0.1' (using password: YES)"}},
		{"mysql", "ERR wrong password", wire.Err{Code: 1045, State: "28000", Message: "Access denied for user 'sha'@'127.0.0.1' (using password: YES)"}},
		{"mariadb", "ERR unknown command", wire.Err{Code: 1047, State: "08S01", Message: "Unknown command"}},
		{"mysql", "ERR unknown command", wire.Err{Code: 1047, State: "08S01", Message: "Unknown command"}},
		{"mariadb", "ERR instead of greeting", wire.Err{Code: 1040, Message: "Too many connections"}},
		{"mysql", "ERR instead of greeting", wire.Err{Code: 1040, Message: "Too many connections"}},
	} {
		p := golden(t, c.flavour)[c.name]
		if !wire.IsErr(p) || wire.IsProgress(p) {
			t.Errorf("%s of %s: not recognised", c.name, c.flavour)
		}
		got, err := wire.ParseErr(p)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&c.want, got); diff != "" {
			t.Errorf("%s of %s (-want +got):\n%s", c.name, c.flavour, diff)
		}
		if b := got.Append(nil); !bytes.Equal(b, p) {
			t.Errorf("%s of %s appends as %q", c.name, c.flavour, b)
		}
	}
}

func TestErrIsAnError(t *testing.T) {
	err := fmt.Errorf("log in: %w", wire.NewErr(wire.CodeAccessDenied, "Access denied for user '%s'", "a%b"))
	var e *wire.Err
	if !errors.As(err, &e) || e.Code != 1045 || e.State != "28000" {
		t.Fatalf("%#v", e)
	}
	if got := err.Error(); got != "log in: ERROR 1045 (28000): Access denied for user 'a%b'" {
		t.Error(got)
	}
	if got := (&wire.Err{Code: 1040, Message: "m"}).Error(); got != "ERROR 1040 (HY000): m" {
		t.Error(got)
	}
}

func TestErrWithoutStateThatLooksLikeOne(t *testing.T) {
	for _, message := range []string{"", "#", "#2800"} {
		e, err := wire.ParseErr([]byte("\xff\x15\x04" + message))
		if err != nil || e.State != "" || e.Message != message {
			t.Errorf("%q: %+v, %v", message, e, err)
		}
	}
	e, err := wire.ParseErr([]byte("\xff\x15\x04#28000"))
	if err != nil || e.State != "28000" || e.Message != "" {
		t.Errorf("state alone: %+v, %v", e, err)
	}
}

func TestErrMalformed(t *testing.T) {
	for _, p := range []string{"", "\xff", "\xff\x15", "\x00\x15\x04m"} {
		if e, err := wire.ParseErr([]byte(p)); !errors.Is(err, wire.ErrMalformed) || e != nil {
			t.Errorf("%q: %v, %v", p, e, err)
		}
	}
}

func TestProgressReportIsNoError(t *testing.T) {
	if !wire.IsProgress([]byte("\xff\xff\xff\x01\x01\x02\x10\x27\x00\x0ccopy to tmp ")) {
		t.Error("not recognised")
	}
	for _, p := range []string{"", "\xff\xff", "\xff\x15\x04", "\x00\xff\xff"} {
		if wire.IsProgress([]byte(p)) {
			t.Errorf("%q is taken for one", p)
		}
	}
}

func TestSQLStateOfCodes(t *testing.T) {
	for code, want := range map[uint16]string{
		wire.CodeConCount: "08004", wire.CodeHandshake: "08S01", wire.CodeAccessDenied: "28000",
		wire.CodeParse: "42000", wire.CodeDeadlock: "40001", wire.CodeReadOnlyTransaction: "25006",
		wire.CodeQueryInterrupted: "70100", wire.CodeUnknown: "HY000", wire.CodeOptionPreventsStmt: "HY000", 60000: "HY000",
	} {
		if got := wire.SQLState(code); got != want {
			t.Errorf("%d: %s, want %s", code, got, want)
		}
	}
}

func FuzzErr(f *testing.F) {
	addGolden(f, "ERR ", func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, p []byte) {
		wire.IsProgress(p)
		e, err := wire.ParseErr(p)
		if err != nil {
			return
		}
		if b := e.Append(nil); !bytes.Equal(b, p) {
			t.Fatalf("%q appends as %q", p, b)
		}
	})
}
