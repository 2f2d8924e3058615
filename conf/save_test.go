package conf

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const saveHead = `# the proxy of the shop
[admin]
password = "x"   # change me

[[users]]
name = "app"
password = "y"

`

func TestSavedBackendsKeepEverythingElseOfTheFile(t *testing.T) {
	file := saveHead + `# the virtual address
[[backends]]
address = "10.0.0.1:3306" # master
role = "rw"

# the first replica
[[backends]]
role = "ro"
address = '10.0.0.2:3306'
weight = 5 # fast disk
max_lag = "2s"

[[backends]]
address = "10.0.0.3:3306"
role = "ro"

# pools
[pool]
max_idle = 7
`
	for name, c := range map[string]struct {
		want []SavedBackend
		out  string
	}{
		"nothing changed": {
			[]SavedBackend{{Address: "10.0.0.1:3306", Role: "rw", Weight: 0}, {Address: "10.0.0.2:3306", Role: "ro", Weight: 5}, {Address: "10.0.0.3:3306", Role: "ro", Weight: 1}},
			file,
		},
		"weights changed, one removed, one added": {
			[]SavedBackend{{Address: "10.0.0.1:3306", Role: "rw", Weight: 1}, {Address: "10.0.0.2:3306", Role: "ro", Weight: 9}, {Address: "10.0.0.4:3306", Role: "ro", Weight: 1}},
			saveHead + `# the virtual address
[[backends]]
address = "10.0.0.1:3306" # master
weight = 1
role = "rw"

# the first replica
[[backends]]
role = "ro"
address = '10.0.0.2:3306'
weight = 9 # fast disk
max_lag = "2s"


[[backends]]
address = "10.0.0.4:3306"
role = "ro"
weight = 1

# pools
[pool]
max_idle = 7
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := SaveBackends([]byte(file), c.want, noEnv)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.out, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A table of a backend's own stays with it, and goes with it.
func TestSavedBackendsKeepTheirTLS(t *testing.T) {
	first := "[[backends]]\naddress = \"10.0.0.1:3306\"\nrole = \"rw\"\n[backends.tls]\nmode = \"required\"\n"
	second := "\n[[backends]]\naddress = \"10.0.0.2:3306\"\nrole = \"ro\"\n[backends.tls] # of its own\nmode = \"preferred\"\n"
	rest := "\n[pool]\nmax_idle = 7\n"
	tls := TLS{Mode: "verify_ca", CA: "testdata/tls/cert.pem"}
	got, err := SaveBackends([]byte(saveHead+first+second+rest), []SavedBackend{
		{Address: "10.0.0.1:3306", Role: "rw", TLS: tls}, {Address: "10.0.0.3:3306", Role: "ro", Weight: 2, TLS: tls},
		{Address: "unix:/run/mysqld.sock", Role: "ro", Weight: 1, TLS: tls},
	}, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	want := saveHead + first + `

[[backends]]
address = "10.0.0.3:3306"
role = "ro"
weight = 2
tls = { mode = "verify_ca", ca = "testdata/tls/cert.pem" }

[[backends]]
address = "unix:/run/mysqld.sock"
role = "ro"
weight = 1
` + rest
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestAFileThatCannotBeEditedIsLeftAlone(t *testing.T) {
	want := []SavedBackend{{Address: "10.0.0.1:3306", Role: "rw", Weight: 0}}
	for name, text := range map[string]string{
		"backends in one line": `backends = [{ address = "10.0.0.1:3306", role = "rw" }]` + "\n" + saveHead,
		"no backends":          saveHead,
		"a header in a string": saveHead + "[[backends]]\naddress = \"10.0.0.1:3306\"\nrole = \"rw\"\n[log]\npath = '''\n[[backends]]\n'''\n",
	} {
		if got, err := SaveBackends([]byte(text), want, noEnv); !errors.Is(err, ErrHandWritten) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}
