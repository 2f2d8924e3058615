package wiretest

import (
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
)

// Faults say how a FaultConn misbehaves. The zero value does not.
type Faults struct {
	// Chunk makes every read return at most a random number of bytes from 1 to
	// Chunk, drawn from a generator seeded with Seed.
	Chunk int
	Seed  uint64
	// ReadLimit and WriteLimit let that many bytes through and no more; 0 is
	// no limit. What happens then is what AtLimit says.
	ReadLimit, WriteLimit int64
	AtLimit               AtLimit
}

// AtLimit is what happens at the limit of a FaultConn.
type AtLimit byte

// What happens at the limit.
const (
	// Reset: reads and writes fail with ECONNRESET, and the connection
	// underneath is closed, with an RST if it is TCP.
	Reset AtLimit = iota
	// Stall: as if the cable had been cut. What is written vanishes; reads
	// wait for the deadline or for Close, whatever the peer sends.
	Stall
)

// FaultConn is a connection with faults. It hides the socket under it, so that
// code which would use it directly goes through Read and Write.
type FaultConn struct {
	net.Conn
	faults Faults

	mu      sync.Mutex
	random  *rand.Rand
	read    int64
	written int64
}

// NewFaultConn wraps c.
func NewFaultConn(c net.Conn, f Faults) *FaultConn {
	return &FaultConn{Conn: c, faults: f, random: rand.New(rand.NewPCG(f.Seed, 0))}
}

// Read reads as the faults allow. At a Stall it swallows what comes.
func (c *FaultConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, limited := c.readAllowance(len(p))
	if limited {
		return 0, c.readAtLimit()
	}
	n, err := c.Conn.Read(p[:n])
	c.mu.Lock()
	c.read += int64(n)
	c.mu.Unlock()
	return n, err
}

// readAllowance returns how many of want bytes may be read now.
func (c *FaultConn) readAllowance(want int) (n int, limited bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults.Chunk > 0 {
		want = min(want, 1+c.random.IntN(c.faults.Chunk))
	}
	if c.faults.ReadLimit > 0 {
		want = int(min(int64(want), c.faults.ReadLimit-c.read))
	}
	return want, want <= 0
}

func (c *FaultConn) readAtLimit() error {
	if c.faults.AtLimit == Reset {
		return c.reset()
	}
	var void [4096]byte
	for {
		if _, err := c.Conn.Read(void[:]); err != nil {
			return err
		}
	}
}

// Write writes as the faults allow.
func (c *FaultConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	allowed := len(p)
	if c.faults.WriteLimit > 0 {
		allowed = int(min(int64(allowed), c.faults.WriteLimit-c.written))
	}
	c.written += int64(allowed)
	c.mu.Unlock()
	if allowed > 0 {
		if n, err := c.Conn.Write(p[:allowed]); err != nil {
			return n, err
		}
	}
	if allowed == len(p) || c.faults.AtLimit == Stall {
		return len(p), nil
	}
	return allowed, c.reset()
}

func (c *FaultConn) reset() error {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Conn.Close()
	return syscall.ECONNRESET
}
