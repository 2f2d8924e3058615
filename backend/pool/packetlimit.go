package pool

import (
	"strconv"
	"time"
)

// packetLimitTimeout bounds asking for the limit.
const packetLimitTimeout = 5 * time.Second

// maxPacketLimit is the largest max_allowed_packet there is. It stands for that
// of a server that takes no questions in the state the session has put it into,
// for instance between XA END and XA PREPARE.
const maxPacketLimit = "1073741824"

// PacketLimit returns the server's max_allowed_packet: it refuses commands whose
// payload has so many bytes or more. It is asked for once; the value of a
// connection does not change. Errors are those of QueryValue, after any of them
// the connection must be discarded.
func (c *Conn) PacketLimit() (int, error) {
	if c.packetLimit > 0 {
		return c.packetLimit, nil
	}
	c.setDeadline(time.Now().Add(packetLimitTimeout))
	value, err := c.QueryValue("SELECT @@max_allowed_packet")
	switch {
	case isServerError(err):
		value = maxPacketLimit
	case err != nil:
		return 0, err
	}
	c.setDeadline(time.Time{})
	limit, err := strconv.Atoi(value)
	if err != nil {
		return 0, err
	}
	c.packetLimit = limit
	return limit, nil
}
