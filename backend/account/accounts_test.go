package account

import (
	"fmt"
	"testing"
)

// The answers are those of MariaDB 10.11, shortened.
func TestParseAccounts(t *testing.T) {
	const one, two = "*74445CD742AF268FD22866DA0D12758951D638F7", "*A41BEE51488264C01B96DE959A9142AF1A75205E"
	native := func(hash string) string {
		return `{"access":0,"plugin":"mysql_native_password","authentication_string":"` + hash + `"}`
	}
	for _, c := range []struct {
		name, answer string
		hashes       int
		all          bool
	}{
		{"nobody", `[]`, 0, true},
		{"native", `[` + native(one) + `]`, 1, true},
		{"native on two hosts", `[` + native(one) + `,` + native(two) + `]`, 2, true},
		{"native without a password", `[` + native("") + `]`, 0, true},
		{"native that nobody can use", `[` + native("invalid") + `]`, 0, false},
		{"another plugin", `[{"plugin":"ed25519","authentication_string":"x"}]`, 0, false},
		{"another plugin on another host", `[` + native(one) + `,{"plugin":"caching_sha2_password","authentication_string":""}]`, 1, false},
		{"no plugin, as the first root has", `[{"access":18446744073709551615}]`, 0, false},
		{"ed25519, then native", `[{"plugin":"mysql_native_password","authentication_string":"` + two + `",
			"auth_or":[{"plugin":"ed25519","authentication_string":"GVycM1PNYy2URWCtSnWcrXKV9RSF2Riqk+B7EpGr7IE"},{}]}]`, 1, false},
		{"native twice", `[{"plugin":"mysql_native_password","authentication_string":"` + one + `",
			"auth_or":[{},{"plugin":"mysql_native_password","authentication_string":"` + two + `"}]}]`, 2, true},
		{"a role of the same name", `[` + native(one) + `,{"access":0,"version_id":101119,"is_role":true}]`, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			hashes, all, err := parseAccounts(c.answer)
			if err != nil || len(hashes) != c.hashes || all != c.all {
				t.Errorf("%d hashes, all %v, %v; want %d, %v", len(hashes), all, err, c.hashes, c.all)
			}
		})
	}
	for _, answer := range []string{"", "x", "{}", `[{"plugin":"mysql_na`} { // the last as group_concat_max_len cuts it
		t.Run(fmt.Sprintf("%q is no answer", answer), func(t *testing.T) {
			if _, _, err := parseAccounts(answer); err == nil {
				t.Error("taken for one")
			}
		})
	}
}

// FuzzParseAccounts: a server can say anything.
func FuzzParseAccounts(f *testing.F) {
	f.Add(`[{"plugin":"mysql_native_password","authentication_string":"*74445CD742AF268FD22866DA0D12758951D638F7"}]`)
	f.Add(`[{"plugin":"mysql_native_password","authentication_string":"","auth_or":[{"plugin":"ed25519"},{}]},{"is_role":true}]`)
	f.Fuzz(func(t *testing.T, answer string) {
		hashes, all, err := parseAccounts(answer)
		if err != nil && (all || len(hashes) > 0) {
			t.Errorf("%d hashes, all %v, and %v", len(hashes), all, err)
		}
	})
}
