package conf

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// SavedBackend is what SAVE CONFIG writes of a backend.
type SavedBackend struct {
	Address string
	Role    string // RolePrimary, RoleReplica or RoleAuto
	Weight  int
	// TLS is written with a backend that is new to the file.
	TLS TLS
}

// ErrHandWritten is returned by SaveBackends for a file whose backends it
// cannot edit.
var ErrHandWritten = errors.New("the file's [[backends]] are not written in the usual form: edit it by hand")

var (
	backendsHeader = regexp.MustCompile(`^\s*\[\[\s*backends\s*\]\]`)
	ownHeader      = regexp.MustCompile(`^\s*\[\s*backends\s*\.`) // a table of the backend, such as [backends.tls]
	anyHeader      = regexp.MustCompile(`^\s*\[`)
	addressLine    = regexp.MustCompile(`^\s*address\s*=\s*["']([^"'\\]*)["']`)
	weightLine     = regexp.MustCompile(`(?s)^(\s*weight\s*=\s*)([0-9_]+)(.*)$`)
	noContent      = regexp.MustCompile(`^\s*(#.*)?$`)
)

// SaveBackends returns the text of a configuration file with its [[backends]]
// made those of want: weights are changed, entries added and removed.
// Everything else, comments included, stays as it is. env is used to check the
// result, which has to mean what was asked for.
func SaveBackends(text []byte, want []SavedBackend, env func(string) (string, bool)) ([]byte, error) {
	lines := strings.SplitAfter(string(text), "\n")
	var out []string
	seen := map[string]bool{}
	insertAt := -1
	for i := 0; i < len(lines); {
		if !backendsHeader.MatchString(lines[i]) {
			out = append(out, lines[i])
			i++
			continue
		}
		end := blockEnd(lines, i)
		address, block := editBlock(lines[i:end], want)
		if address == "" {
			return nil, ErrHandWritten
		}
		seen[address] = true
		out = append(out, block...)
		insertAt = len(out)
		i = end
	}
	var added []string
	for _, b := range want {
		if !seen[b.Address] {
			added = append(added, fmt.Sprintf("\n[[backends]]\naddress = %q\nrole = %q\nweight = %d\n%s", b.Address, b.Role, b.Weight, tlsLine(&b)))
		}
	}
	if insertAt < 0 {
		return nil, ErrHandWritten
	}
	if n := len(out[:insertAt]); len(added) > 0 && n > 0 && !strings.HasSuffix(out[n-1], "\n") {
		out[n-1] += "\n"
	}
	result := []byte(strings.Join(slices.Insert(out, insertAt, added...), ""))
	return result, checkSaved(result, want, env)
}

// tlsLine is what a new backend's table says of TLS, empty if that is off.
func tlsLine(b *SavedBackend) string {
	if network, _ := SplitAddress(b.Address); b.TLS.Mode == "" || b.TLS.Mode == "off" || network == "unix" {
		return ""
	}
	text := fmt.Sprintf("tls = { mode = %q", b.TLS.Mode)
	for _, f := range [][2]string{{"cert", b.TLS.Cert}, {"key", b.TLS.Key}, {"ca", b.TLS.CA}} {
		if f[1] != "" {
			text += fmt.Sprintf(", %s = %q", f[0], f[1])
		}
	}
	return text + " }\n"
}

// blockEnd returns the line after the last one with content of the table that
// begins at start, and of the tables in it.
func blockEnd(lines []string, start int) int {
	end := start + 1
	for i := end; i < len(lines) && (!anyHeader.MatchString(lines[i]) || ownHeader.MatchString(lines[i])); i++ {
		if !noContent.MatchString(strings.TrimRight(lines[i], "\r\n")) {
			end = i + 1
		}
	}
	return end
}

// editBlock returns the address of a [[backends]] table and its lines with the
// weight that want has, or none if want has no such backend.
func editBlock(block []string, want []SavedBackend) (address string, edited []string) {
	at := slices.IndexFunc(block, addressLine.MatchString)
	if at < 0 {
		return "", nil
	}
	address = addressLine.FindStringSubmatch(block[at])[1]
	i := slices.IndexFunc(want, func(b SavedBackend) bool { return b.Address == address })
	if i < 0 {
		return address, nil
	}
	edited = slices.Clone(block)
	weight := strconv.Itoa(want[i].Weight)
	if w := slices.IndexFunc(block, weightLine.MatchString); w >= 0 {
		m := weightLine.FindStringSubmatch(block[w])
		edited[w] = m[1] + weight + m[3]
		return address, edited
	}
	if want[i].Weight == defaultWeight(want[i].Role) {
		return address, edited
	}
	if !strings.HasSuffix(edited[at], "\n") {
		edited[at] += "\n"
	}
	return address, slices.Insert(edited, at+1, "weight = "+weight+"\n")
}

// defaultWeight is the weight of a backend whose table has none.
func defaultWeight(role string) int {
	if role == RolePrimary {
		return 0
	}
	return 1
}

// checkSaved makes sure that an edited file says what it is meant to.
func checkSaved(text []byte, want []SavedBackend, env func(string) (string, bool)) error {
	cfg, problems := Parse("the edited file", text, env)
	if Fatal(problems) {
		return fmt.Errorf("%w (%s)", ErrHandWritten, problems[0])
	}
	if len(cfg.Backends) != len(want) {
		return ErrHandWritten
	}
	for _, b := range want {
		if !slices.ContainsFunc(cfg.Backends, func(c Backend) bool {
			return c.Address == b.Address && c.Role == b.Role && c.Weight == b.Weight
		}) {
			return ErrHandWritten
		}
	}
	return nil
}
