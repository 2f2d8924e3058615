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
			[]SavedBackend{{"10.0.0.1:3306", "rw", 0}, {"10.0.0.2:3306", "ro", 5}, {"10.0.0.3:3306", "ro", 1}},
			file,
		},
		"weights changed, one removed, one added": {
			[]SavedBackend{{"10.0.0.1:3306", "rw", 1}, {"10.0.0.2:3306", "ro", 9}, {"10.0.0.4:3306", "ro", 1}},
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

func TestAFileThatCannotBeEditedIsLeftAlone(t *testing.T) {
	want := []SavedBackend{{"10.0.0.1:3306", "rw", 0}}
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
