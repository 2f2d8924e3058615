package proxy

import (
	"cmp"
	"slices"
	"time"

	"github.com/telamondb/telamon/wire"
)

// Info describes a session to operators.
type Info struct {
	ID      uint32
	User    string // "" before the login is complete
	Host    string
	Schema  string
	Command wire.Command // ComSleep while it waits for the client
	// For is how long it has been doing that, to a tick.
	For time.Duration
	// Server is where the running statement runs, "" otherwise.
	Server string
	Since  time.Time
}

// Sessions lists the sessions by id.
func (p *Proxy) Sessions() []Info {
	now := p.clock.Load()
	p.mu.Lock()
	list := make([]Info, 0, len(p.sessions))
	for _, s := range p.sessions {
		info := Info{ID: s.id, Host: s.remote().String(), Command: wire.Command(s.doing.Load()),
			For: time.Duration(max(0, int32(now-s.activeAt.Load()))) * tick, Since: s.startedAt}
		if u := s.user.Load(); u != nil {
			info.User = *u
		}
		if d := s.schema.Load(); d != nil {
			info.Schema = *d
		}
		if c := s.kill.current.Load(); c != nil {
			info.Server = c.Server.String()
		}
		list = append(list, info)
	}
	p.mu.Unlock()
	slices.SortFunc(list, func(a, b Info) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
