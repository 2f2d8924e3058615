package wire_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/telamondb/telamon/wire"
)

// changes lists the changes in block, one per line.
func changes(block []byte) (string, error) {
	var b strings.Builder
	c := wire.NewChanges(block)
	for c.Next() {
		ch := c.Change()
		fmt.Fprintf(&b, "%d %s=%s\n", ch.Type, ch.Name, ch.Value)
	}
	return b.String(), c.Err()
}

func TestChangesOfRealServers(t *testing.T) {
	for _, c := range []struct{ name, mariadb, mysql string }{
		{name: "OK set names tracked",
			mariadb: "0 character_set_connection=latin1\n0 character_set_client=latin1\n0 character_set_results=latin1\n",
			mysql:   "0 character_set_client=latin1\n0 character_set_connection=latin1\n0 character_set_results=latin1\n"},
		{name: "OK use tracked", mariadb: "1 =mysql\n", mysql: "1 =mysql\n"},
		{name: "OK set trackall",
			mariadb: "0 session_track_system_variables=*\n0 session_track_transaction_info=CHARACTERISTICS\n" +
				"0 session_track_state_change=ON\n2 =1\n5 =________\n4 =\n",
			mysql: "0 session_track_state_change=ON\n0 session_track_system_variables=*\n" +
				"0 session_track_transaction_info=CHARACTERISTICS\n2 =1\n4 =\n"},
		{name: "OK begin tracked",
			mariadb: "5 =T_______\n4 =START TRANSACTION READ ONLY;\n",
			mysql:   "0 statement_id=26\n5 =T_______\n4 =START TRANSACTION READ ONLY;\n"},
		{name: "OK insert in trx", mariadb: "5 =T___W___\n", mysql: "0 statement_id=29\n5 =T___W___\n"},
		{name: "OK commit tracked",
			mariadb: "0 last_gtid=0-1-15\n5 =________\n4 =\n",
			mysql:   "0 statement_id=30\n3 =9e5f1943-e4af-11f1-bbe3-02fc00000001:12\n5 =________\n4 =\n"},
	} {
		for flavour, want := range map[string]string{"mariadb": c.mariadb, "mysql": c.mysql} {
			ok, err := wire.ParseOK(golden(t, flavour)[c.name], trackedCaps)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := changes(ok.SessionChanges); err != nil || got != want {
				t.Errorf("%s of %s: %v, got\n%swant\n%s", c.name, flavour, err, got, want)
			}
		}
	}
}

func TestChangesInOtherForms(t *testing.T) {
	for _, c := range []struct{ name, block, want string }{
		{"no block", "", ""},
		{"several variables in one entry", "\x00\x0a\x01a\x01b\x02cd\x02ef\x01\x02\x01d", "0 a=b\n0 cd=ef\n1 =d\n"},
		{"an empty value", "\x00\x03\x01a\x00", "0 a=\n"},
		{"an unknown type", "\x2a\x03abc\x01\x02\x01d", "42 =abc\n1 =d\n"},
	} {
		if got, err := changes([]byte(c.block)); err != nil || got != c.want {
			t.Errorf("%s: %v, got\n%swant\n%s", c.name, err, got, c.want)
		}
	}
}

func TestChangesEndAtWhatIsMalformed(t *testing.T) {
	for name, block := range map[string]string{
		"type without data":        "\x01\x02\x01d\x01",
		"data too long":            "\x01\x02\x01d\x01\x03\x01x",
		"variable without value":   "\x01\x02\x01d\x00\x02\x01a",
		"variable of nothing":      "\x01\x02\x01d\x00\x00",
		"value too long":           "\x01\x02\x01d\x01\x02\x02x",
		"GTIDs without encoding":   "\x01\x02\x01d\x03\x00",
		"GTIDs without text":       "\x01\x02\x01d\x03\x01\x00",
		"a second variable broken": "\x01\x02\x01d\x00\x05\x01a\x01b\x09",
	} {
		got, err := changes([]byte(block))
		if !errors.Is(err, wire.ErrMalformed) || !strings.HasPrefix(got, "1 =d\n") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		c := wire.NewChanges([]byte(block))
		for c.Next() {
		}
		if c.Next() {
			t.Errorf("%s: goes on after its end", name)
		}
	}
}

func FuzzChanges(f *testing.F) {
	addGolden(f, "OK ", func(b []byte) {
		if ok, err := wire.ParseOK(b, trackedCaps); err == nil {
			f.Add(ok.SessionChanges)
		}
	})
	f.Fuzz(func(t *testing.T, block []byte) {
		n := 0
		c := wire.NewChanges(block)
		for c.Next() {
			if n += 1; n > len(block) {
				t.Fatal("more changes than bytes")
			}
		}
		if c.Err() == nil && len(block) > 0 && n == 0 {
			t.Fatal("bytes without change or error")
		}
	})
}
