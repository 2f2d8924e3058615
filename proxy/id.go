package proxy

// Connection ids have 32 bits (protocol doc "Protocol::HandshakeV10"). The upper
// ones are the node's, so that an id is one of all instances behind an address:
// clients send KILL on a new connection, which may lead to another instance.
const (
	counterBits = 20
	// MaxNodeID is the largest Config.NodeID.
	MaxNodeID = 1<<(32-counterBits) - 1
)

// nextID returns a connection id that no session has and that is not 0. The
// caller holds p.mu.
func (p *Proxy) nextID() uint32 {
	node := p.config.Load().NodeID << counterBits
	for {
		p.lastID = (p.lastID + 1) & (1<<counterBits - 1)
		id := node | p.lastID
		if _, used := p.sessions[id]; id != 0 && !used {
			return id
		}
	}
}
