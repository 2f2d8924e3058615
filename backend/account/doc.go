// Package account lets clients in by what somebody else knows of them: by the
// accounts of the servers, without a list of Telamon's own, or by hashes in the
// configuration. What a client shows is tried once; what has proved right is kept
// in memory, and looked at again at short intervals.
package account
