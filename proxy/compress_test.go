package proxy

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/compress"
	"github.com/telamondb/telamon/wire/wiretest"
)

func compressing(s *setup) { s.config.Compression = wire.Compress | wire.ZstdCompress }

func clientFrames(below net.Conn, agreed wire.Capability) wire.Frames {
	algorithm, _ := compress.Negotiated(agreed)
	return compress.Client(below, algorithm)
}

// asking are the credentials of a client that asks for compression.
func asking(flags wire.Capability, level byte) wiretest.Credentials {
	return wiretest.Credentials{
		User: "app", Password: "pw", Capabilities: wiretest.Capabilities&^(wire.ConnectWithDB|wire.FoundRows|wire.NoSchema|wire.IgnoreSpace|wire.Interactive) | flags,
		ZstdLevel: level, Frames: clientFrames,
	}
}

func TestH32WhatIsOfferedAndAgreedOn(t *testing.T) {
	const both = wire.Compress | wire.ZstdCompress
	for _, test := range []struct {
		name          string
		flavor        backend.Flavor
		offered, want wire.Capability
	}{
		{"nothing", backend.MySQL, 0, 0},
		{"both", backend.MySQL, both, both},
		{"zstd", backend.MySQL, wire.ZstdCompress, wire.ZstdCompress},
		{"both, in front of MariaDB", backend.MariaDB, both, wire.Compress},
	} {
		t.Run("offered: "+test.name, func(t *testing.T) {
			r := newRig(t, func(s *setup) { s.config.Compression = test.offered })
			r.store.Update(func(d *backend.Draft) {
				st := &r.store.Load().States[0]
				d.State(st.Server).Flavor, d.State(st.Server).Version = test.flavor, "10.11.6"
			})
			c, err := r.tryLogin(asking(both, 3))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Greeting.Capabilities & both; got != test.want {
				t.Errorf("offered %x, want %x", got, test.want)
			}
			if c.Framed() != (test.want != 0) {
				t.Errorf("framed: %v", c.Framed())
			}
			c.ok(wire.ComPing, "")
		})
	}
	r := newRig(t, compressing)
	for _, test := range []struct {
		name  string
		flags wire.Capability
		level byte
		code  uint16
	}{
		{"zlib", wire.Compress, 0, 0},
		{"zstd", wire.ZstdCompress, 1, 0},
		{"zstd of the highest level", wire.ZstdCompress, 22, 0},
		{"zstd of no level", wire.ZstdCompress, 0, wire.CodeCompressionLevel},
		{"zstd of a level there is not", wire.ZstdCompress, 23, wire.CodeCompressionLevel},
		{"both, with any level", both, 99, 0},
	} {
		t.Run("asked for: "+test.name, func(t *testing.T) {
			c, err := r.tryLogin(asking(test.flags, test.level))
			if test.code != 0 {
				wantErr(t, err, test.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c.exec("SET time_zone = '+01:00'")
			if got := c.value("SELECT @@time_zone"); got != "+01:00" {
				t.Error(got)
			}
		})
	}
}

// raw logs in for compression and returns the socket.
func (r *rig) raw(flags wire.Capability) net.Conn {
	r.t.Helper()
	credentials := asking(flags, 3)
	credentials.Frames = nil
	c, err := r.tryLogin(credentials)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.nc
}

func TestP31FramesThatAreWrongEndTheSessionWithAnError(t *testing.T) {
	for _, test := range []struct {
		name, frame, want string
	}{
		{"no zlib stream", "\x05\x00\x00\x00\x64\x00\x00abcde", "#08S01Couldn't uncompress communication packet"},
		{"nothing inside", "\x00\x00\x00\x00\x64\x00\x00", "#08S01Couldn't uncompress communication packet"},
		{"a wrong number", "\x05\x00\x00\x07\x00\x00\x00\x01\x00\x00\x00\x0e", "#08S01Got packets out of order"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, compressing)
			bystander := r.connect()
			nc := r.raw(wire.Compress)
			if _, err := nc.Write([]byte(test.frame)); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(compress.Client(nc, compress.Zlib))
			if err != nil || !strings.Contains(string(answer), test.want) {
				t.Errorf("%q, %v", answer, err)
			}
			bystander.ok(wire.ComPing, "")
		})
	}
}

func TestP31WhatTheClientCountsInsideFramesDoesNotMatter(t *testing.T) {
	r := newRig(t, compressing)
	nc := r.raw(wire.Compress)
	c := compress.Client(nc, compress.Zlib)
	// A ping with a sequence id of 9 whose header comes in two frames, after an
	// empty one.
	if _, err := nc.Write([]byte("\x00\x00\x00\x00\x00\x00\x00" + "\x02\x00\x00\x01\x00\x00\x00\x01\x00" + "\x03\x00\x00\x02\x00\x00\x00\x00\x09\x0e")); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 100)
	n, err := c.Read(p)
	if err != nil || n != 11 || p[3] != 1 || p[4] != 0 {
		t.Errorf("% x, %v", p[:n], err)
	}
}

func TestACompressedClientHearsWhyItIsDisconnected(t *testing.T) {
	r := newRig(t, compressing)
	nc := r.raw(wire.Compress)
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 7)
	if _, err := io.ReadFull(nc, head); err != nil || head[3] != 0 {
		t.Fatalf("% x, %v", head, err)
	}
	said, err := io.ReadAll(nc)
	if err != nil || !strings.Contains(string(said), "Server shutdown in progress") {
		t.Errorf("%q, %v", said, err)
	}
}

func TestACompressedClientThatGoesKillsItsStatement(t *testing.T) {
	r := newRig(t, compressing)
	r.replicas[0].onQuery(waiting, block)
	c, err := r.tryLogin(asking(wire.ZstdCompress, 3))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Command(wire.ComQuery, waiting); err != nil {
		t.Fatal(err)
	}
	r.busy("app")
	_ = c.nc.Close()
	eventually(t, "the server was told", func() bool { return len(r.replicas[0].received("KILL QUERY")) == 1 })
	eventually(t, "the session is gone", func() bool { return r.Counts().Clients == 0 })
}
