package monitor

import (
	"io"
	"net"
	"testing"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire/proxyproto"
)

func TestProbesOfServersThatExpectAHeaderSayTheyAreTelamonsOwn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	received := make(chan []byte, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			close(received)
			return
		}
		defer nc.Close()
		p := make([]byte, 16)
		_, _ = io.ReadFull(nc, p)
		received <- p
	}()
	store, err := backend.NewStore([]backend.Spec{{Address: l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	p := NewSQLProber(store.Load().States[0].Server)
	defer p.Close()
	cfg := DefaultConfig()
	cfg.ProxyProtocol = func(*backend.Server) bool { return true }
	p.Probe(t.Context(), cfg)
	header := <-received
	if source, size, err := proxyproto.Parse(header); err != nil || source.IsValid() || size != len(header) {
		t.Errorf("%q: %v, %d, %v", header, source, size, err)
	}
}
