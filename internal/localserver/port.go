package localserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Port is a TCP port of 127.0.0.1 reserved among the processes that reserve
// theirs here, until Release or the end of the process.
type Port struct {
	number      int
	reservation net.Listener
}

// Ports below Linux's default range of ephemeral ports (32768 and up), so that
// no outgoing connection takes one between the reservation and its use.
const firstPort, endPort = 20000, 32000

// ReservePort finds a port nobody listens on. A program outside this project
// may still take it before it is used: retry with another one when the bind fails.
func ReservePort() (*Port, error) {
	for range 1000 {
		number := firstPort + rand.IntN(endPort-firstPort)
		// The name lives in the abstract namespace (unix(7)): it leaves no file
		// and is gone with the process that holds it.
		reservation, err := net.Listen("unix", fmt.Sprintf("@telamon-port-%d", number))
		if err != nil {
			continue
		}
		probe, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", number))
		if err != nil {
			reservation.Close()
			continue
		}
		probe.Close()
		return &Port{number, reservation}, nil
	}
	return nil, errors.New("no free port on 127.0.0.1 in 1000 attempts")
}

// Number is the TCP port.
func (p *Port) Number() int { return p.number }

// Addr is "127.0.0.1:" and the port.
func (p *Port) Addr() string { return fmt.Sprintf("127.0.0.1:%d", p.number) }

// Release lets others reserve the port. It may be called twice.
func (p *Port) Release() { p.reservation.Close() }
