package admin

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/telamondb/telamon/wire"
)

// maxWeight is the largest share of reads the configuration takes as well.
const maxWeight = 1000

// backend finds what a $backend_id means: a backend_ndx, or an address with or
// without its port. The number is its place in the list, good until the list
// changes, which is why everything below Backends goes by address.
func (r *request) backend(ref string) (index int, b Backend, ok bool) {
	list := listBackends(r.deps().Backends)
	i := -1
	if isNumber(ref) {
		if n, err := strconv.ParseUint(ref, 10, 31); err == nil {
			i = int(n) - 1
		}
	} else {
		i = slices.IndexFunc(list, func(b Backend) bool {
			return strings.EqualFold(b.Address, ref) || strings.EqualFold(b.Address, ref+":3306")
		})
	}
	if i < 0 || i >= len(list) {
		return 0, Backend{}, false
	}
	r.target = list[i].Address
	return i + 1, list[i], true
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// noBackend is what a command answers when a backend has gone between the
// list and the action, as if it had not been listed.
func noBackend(err, gone error) error {
	if errors.Is(err, ErrUnknownBackend) {
		return gone
	}
	return err
}

func (r *request) setOffline() (*table, error) { return r.setState(true) }
func (r *request) setOnline() (*table, error)  { return r.setState(false) }

// setState answers with the backend as it is afterwards, as Atlas did: an
// online one is "unknown" until it has been checked.
func (r *request) setState(offline bool) (*table, error) {
	index, b, ok := r.backend(r.args[0])
	if !ok {
		return nil, errNoBackend
	}
	b, err := r.deps().Backends.SetOffline(b.Address, offline)
	if err != nil {
		return nil, noBackend(err, errNoBackend)
	}
	t := backendsTable()
	t.addBackend(index, b)
	return t, nil
}

// setOther gives Atlas's answers to SET <word> <number>.
func (r *request) setOther() (*table, error) {
	if !isNumber(r.args[1]) {
		return nil, errUnknownCommand
	}
	if _, _, ok := r.backend(r.args[1]); !ok {
		return nil, errNoBackend
	}
	return nil, errInvalidSet
}

// emptyStatus is Atlas's answer to what worked and has nothing to show.
func emptyStatus() *table { return newTable(column{"status", text}) }

func (r *request) addMaster() (*table, error) { return r.addBackend(TypePrimary) }
func (r *request) addSlave() (*table, error)  { return r.addBackend(TypeReplica) }

func (r *request) addBackend(typ string) (*table, error) {
	address, weight, err := parseBackend(r.args[0])
	if err != nil {
		return nil, err
	}
	r.target = address
	if err := r.deps().Backends.Add(typ, address, weight); err != nil {
		return nil, err
	}
	return emptyStatus(), nil
}

// parseBackend cuts address[@weight] apart. Only the form is checked here.
func parseBackend(s string) (address string, weight int, err error) {
	address, weight = s, AnyWeight
	if at := strings.LastIndexByte(s, '@'); at >= 0 && isNumber(s[at+1:]) {
		address = s[:at]
		if weight, err = parseWeight(s[at+1:]); err != nil {
			return "", 0, err
		}
	}
	if !isAddress(address) {
		return "", 0, errorf("invalid address %q: want host:port, host:port@weight or unix:PATH", shorten(address, 80))
	}
	return address, weight, nil
}

func parseWeight(s string) (int, error) {
	w, err := strconv.Atoi(s)
	if err != nil || w < 0 || w > maxWeight {
		return 0, errorf("invalid weight %q: want 0 to %d", shorten(s, 20), maxWeight)
	}
	return w, nil
}

// isAddress accepts host:port, [ipv6]:port and unix:PATH by their characters.
func isAddress(s string) bool {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return strings.HasPrefix(path, "/") && len(path) <= 107 // sun_path
	}
	colon := strings.LastIndexByte(s, ':')
	if colon <= 0 {
		return false
	}
	host, port := s[:colon], s[colon+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || !isNumber(port) {
		return false
	}
	if v6, ok := strings.CutPrefix(host, "["); ok {
		v6, ok = strings.CutSuffix(v6, "]")
		return ok && v6 != "" && strings.Trim(strings.ToLower(v6), "0123456789abcdef:.%") == ""
	}
	const hostChars = "abcdefghijklmnopqrstuvwxyz0123456789.-_"
	return len(host) <= 253 && strings.Trim(strings.ToLower(host), hostChars) == ""
}

func (r *request) removeBackend() (*table, error) {
	_, b, ok := r.backend(r.args[0])
	if !ok {
		return nil, errNoBackendRemove
	}
	if err := r.deps().Backends.Remove(b.Address); err != nil {
		return nil, noBackend(err, errNoBackendRemove)
	}
	return emptyStatus(), nil
}

// saveConfig answers as Atlas does, but for an error, which Atlas only logs.
func (r *request) saveConfig() (*table, error) {
	if err := r.deps().Config.Save(); err != nil {
		return nil, err
	}
	return emptyStatus(), nil
}

// alterWeight answers with the backend as it is afterwards.
func (r *request) alterWeight() (*table, error) {
	index, b, ok := r.backend(r.args[0])
	if !ok {
		return nil, errNoBackend
	}
	weight, err := parseWeight(r.args[1])
	if err != nil {
		return nil, err
	}
	b, err = r.deps().Backends.SetWeight(b.Address, weight)
	if err != nil {
		return nil, noBackend(err, errNoBackend)
	}
	t := newTable(column{"backend_ndx", number}, column{"address", text}, column{"state", text},
		column{"type", text}, column{"weight", number})
	t.add(num(index), str(b.Address), str(b.State), str(b.Type), num(b.Weight))
	return t, nil
}

func (r *request) kill() (*table, error)      { return r.killSession(false) }
func (r *request) killQuery() (*table, error) { return r.killSession(true) }

func (r *request) killSession(queryOnly bool) (*table, error) {
	id, err := strconv.ParseUint(r.args[0], 10, 32)
	if err == nil {
		err = r.deps().Sessions.Kill(uint32(id), queryOnly)
	}
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, ErrUnknownSession), errors.Is(err, strconv.ErrSyntax), errors.Is(err, strconv.ErrRange):
		return nil, mysqlError(wire.CodeNoSuchThread, "Unknown thread id: %s", shorten(r.args[0], 20))
	default:
		return nil, err
	}
}

func (r *request) reload() (*table, error)       { return r.reloadConfig(false) }
func (r *request) reloadDryRun() (*table, error) { return r.reloadConfig(true) }

// reloadConfig answers with what changed; "restart" in the last column is
// what did not.
func (r *request) reloadConfig(dryRun bool) (*table, error) {
	changes, err := r.deps().Config.Reload(r.ctx, dryRun)
	if err != nil {
		return nil, err
	}
	return changesTable(changes), nil
}
