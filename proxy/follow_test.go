package proxy

import (
	"testing"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/causal"
)

// TestFollow tells what the record of writes is after the monitor has looked at
// the primary, and what is written in between.
func TestFollow(t *testing.T) {
	const a, b = "aaaaaaaa-71ca-11e1-9e33-c80aa9429562", "bbbbbbbb-71ca-11e1-9e33-c80aa9429562"
	type look struct {
		gtid     string // what the primary says to have
		wrote    string // what is written after it has said so; "blind" is not reported
		replaced bool   // it answers as another server
	}
	for _, tt := range []struct {
		name  string
		looks []look
		want  string // to wait for, "" for nobody can
	}{
		{"what was reported is kept as long as the primary is the same", []look{
			{gtid: a + ":1"}, {gtid: a + ":1", wrote: a + ":2"}, {gtid: a + ":1-2"}, {gtid: a + ":1-2"}, {gtid: a + ":1-2"}}, a + ":2"},
		{"a write of a server that had no GTIDs yet is covered once it has told them", []look{
			{gtid: "", wrote: "blind"}, {gtid: a + ":1"}, {gtid: a + ":1"}, {gtid: a + ":1"}}, a + ":1"},
		{"not by what it may have said before", []look{
			{gtid: "", wrote: "blind"}, {gtid: a + ":1"}, {gtid: a + ":1"}}, ""},
		{"never if it keeps none", []look{
			{gtid: "", wrote: "blind"}, {gtid: ""}, {gtid: ""}, {gtid: ""}, {gtid: ""}}, ""},
		{"what a new primary lacks is forgotten", []look{
			{gtid: a + ":1", wrote: a + ":2-5"}, {gtid: a + ":1-3", replaced: true}, {gtid: a + ":1-3"}, {gtid: a + ":1-3"}}, a + ":1-3"},
		{"what is written to a new primary while it is looked at is not", []look{
			{gtid: a + ":1", wrote: a + ":2-5"}, {gtid: a + ":1-3", replaced: true, wrote: b + ":1"},
			{gtid: a + ":1-3", wrote: b + ":2"}, {gtid: a + ":1-3," + b + ":1", wrote: b + ":3"}}, b + ":1-3," + a + ":1-3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store, err := backend.NewStore([]backend.Spec{{Address: "127.0.0.1:1", Role: backend.RoleRW}})
			if err != nil {
				t.Fatal(err)
			}
			p := &Proxy{deps: Deps{Writes: &causal.Log{}}}
			defer store.Subscribe(p.Follow)()
			server := store.Load().States[0].Server
			seen, identity := time.Unix(1, 0), "a"
			for _, l := range tt.looks {
				if l.replaced {
					identity = "b"
				}
				seen = seen.Add(time.Second)
				store.Update(func(d *backend.Draft) {
					st := d.State(server)
					d.SetHealth(st, backend.Up, backend.CauseNone, "")
					st.Identity, st.GTID, st.SeenAt = identity, l.gtid, seen
				})
				switch l.wrote {
				case "":
				case "blind":
					p.deps.Writes.WroteBlind()
				default:
					p.deps.Writes.Wrote([]byte(l.wrote))
				}
			}
			got, _, ok := p.deps.Writes.Wait(nil)
			if !ok {
				got = nil
			}
			if string(got) != tt.want {
				t.Errorf("to wait for: %q, want %q", got, tt.want)
			}
		})
	}
}
