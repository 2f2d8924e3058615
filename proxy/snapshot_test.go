package proxy

import (
	"testing"
)

// The fakes report no GTIDs: once something has been written, no replica is known
// to have it.

func beganOnReplica(t *testing.T) (r *rig, reader, writer *client) {
	t.Helper()
	r = newRig(t)
	reader, writer = r.connect(), r.connect()
	reader.exec("SET @telamon_consistency='global'")
	reader.exec("START TRANSACTION READ ONLY")
	if n := len(r.replicas[0].received("START")); n != 1 {
		t.Fatal("the transaction has not begun on the replica")
	}
	return r, reader, writer
}

func TestATransactionThatHasReadNothingBeginsAnewOnThePrimary(t *testing.T) {
	r, reader, writer := beganOnReplica(t)
	reader.exec("SET time_zone='+02:00'")
	reader.value("SELECT 1")
	writer.exec("INSERT INTO t VALUES (1)")
	if got := reader.row("SELECT server, var_time_zone FROM t"); got[0] != "P" || got[1] != "+02:00" {
		t.Errorf("read %v", got)
	}
	if n := len(r.primary.received("START TRANSACTION READ ONLY")); n != 1 {
		t.Errorf("begun %d times on the primary", n)
	}
	if n := len(r.replicas[0].received("ROLLBACK")); n != 1 {
		t.Error("the replica's transaction is still open")
	}
	if got := reader.value("SELECT server FROM t"); got != "P" {
		t.Errorf("the next read was answered by %s", got)
	}
	reader.exec("COMMIT")
	if n := len(r.primary.received("COMMIT")); n != 1 {
		t.Error("the primary's transaction was not committed")
	}
	if got := reader.value("/*consistency=off*/ SELECT server FROM t"); got != "A" {
		t.Errorf("after the transaction %s has answered", got)
	}
}

func TestATransactionStaysWhereItHasRead(t *testing.T) {
	r, reader, writer := beganOnReplica(t)
	reader.value("SELECT server FROM t")
	writer.exec("INSERT INTO t VALUES (1)")
	if got := reader.value("SELECT server FROM t"); got != "A" {
		t.Errorf("answered by %s", got)
	}
	reader.exec("COMMIT")
	if n := len(r.primary.received("START")); n != 0 {
		t.Error("it has begun on the primary, too")
	}
}

func TestATransactionThatReadsNothingNeedsNobody(t *testing.T) {
	r, reader, writer := beganOnReplica(t)
	writer.exec("INSERT INTO t VALUES (1)")
	reader.exec("COMMIT")
	if n := len(r.replicas[0].received("COMMIT")); n != 1 || len(r.primary.received("START")) != 0 {
		t.Error("it was not committed where it had begun")
	}
}

func TestATransactionThatThePrimaryCannotBeginStaysWhereItIs(t *testing.T) {
	r, reader, writer := beganOnReplica(t)
	writer.exec("INSERT INTO t VALUES (1)")
	r.primary.onQuery("START TRANSACTION READ ONLY", func(c *fakeConn) error { return c.fail(1290, "not now") })
	reader.fails(1290, "SELECT server FROM t")
	reader.exec("ROLLBACK")
	r.primary.intercept(nil)
	if got := reader.value("SELECT server FROM t"); got != "P" {
		t.Errorf("answered by %s", got)
	}
}
