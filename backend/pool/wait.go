package pool

import (
	"fmt"
	"time"
)

// WaitApplied waits until the server has applied a GTID set, and reports
// whether it has. The two flavours differ in everything but the purpose
// (measured on MySQL 9.7 and MariaDB 10.11): WAIT_FOR_EXECUTED_GTID_SET
// answers 1 on timeout and takes 0 for ever; MASTER_GTID_WAIT answers -1 and
// takes 0 for not at all. An error of the server (*wire.Err) leaves the
// connection usable; any other loses it.
func (c *Conn) WaitApplied(gtids string, timeout time.Duration) (bool, error) {
	seconds := fmt.Sprintf("%.3f", max(timeout, time.Millisecond).Seconds())
	fn := "WAIT_FOR_EXECUTED_GTID_SET"
	if c.mariadb {
		fn = "MASTER_GTID_WAIT"
	}
	c.setDeadline(time.Now().Add(timeout + waitGrace))
	r, err := c.ask("SELECT " + fn + "('" + gtids + "'," + seconds + ")")
	c.setDeadline(time.Time{}) // a connection that is lost is no better for it
	if err != nil {
		return false, err
	}
	v, err := r.Value()
	return err == nil && v == "0", err
}

// waitGrace is how much longer than asked a server may take to give up waiting
// before it is given up itself.
const waitGrace = time.Second
