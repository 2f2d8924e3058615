//go:build !race

// The race detector makes sync.Pool forget at random, so that neither times
// nor allocations mean anything under it.

package compress

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{200, 16 << 10} {
		for _, a := range algorithms {
			b.Run(fmt.Sprintf("%s/%d", a, size), func(b *testing.B) {
				m := &memory{}
				c := Server(m, a)
				p := rows(size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				var out int
				for b.Loop() {
					m.Reset()
					if _, err := c.Write(p); err != nil {
						b.Fatal(err)
					}
					out = m.Len()
				}
				b.ReportMetric(float64(size)/float64(out), "ratio")
			})
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{200, 16 << 10} {
		for _, a := range []Algorithm{Zlib, Zstd} {
			b.Run(fmt.Sprintf("%s/%d", a, size), func(b *testing.B) {
				m := &memory{}
				w := Client(m, a)
				_, _ = w.Write(rows(size))
				frame := bytes.Clone(m.Bytes())
				c := Server(m, a)
				p := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					m.Reset()
					_, _ = m.Buffer.Write(frame)
					if _, err := io.ReadFull(c, p); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func TestAllocationsPerFrame(t *testing.T) {
	for _, a := range algorithms {
		m := &memory{}
		w, r := Client(m, a), Client(m, a)
		p := rows(16 << 10)
		into := make([]byte, len(p))
		if n := testing.AllocsPerRun(500, func() {
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(r, into); err != nil {
				t.Fatal(err)
			}
		}); n >= 1 {
			t.Errorf("%s: %v allocations", a, n)
		}
	}
}
