// Package causal keeps account of what has been written through the proxy, so
// that a read can be held back until a replica has it.
//
// A Log collects the GTIDs that servers report with the OK of a write, before
// the client hears of it. Each report gets the next Mark: a replica that has
// applied everything up to a mark may serve any read that has to see it. What
// has to be waited for is given to the replica as one GTID set
// (WAIT_FOR_EXECUTED_GTID_SET, MASTER_GTID_WAIT).
package causal
