package wire

import "encoding/binary"

// OK ends a command that succeeded; protocol doc "OK_Packet". With
// DeprecateEOF it also ends a result set, then with header 0xfe.
type OK struct {
	AffectedRows uint64
	LastInsertID uint64
	Status       Status
	Warnings     uint16
	Info         []byte // human-readable, usually empty, e.g. "Rows matched: 1 ..."
	// SessionChanges is the block of changes by which a server reports what
	// happened to the session, without its length; see Changes. Present only
	// with SessionTrack and Status SessionStateChange.
	SessionChanges []byte
}

// IsOK reports whether payload, the first or the last of a response, is an OK
// packet under caps. Only the length tells a 0xfe header from a row whose first
// column is 16 MiB or longer.
func IsOK(payload []byte, caps Capability) bool {
	if len(payload) == 0 {
		return false
	}
	return payload[0] == headerOK ||
		payload[0] == headerEOF && caps.Has(DeprecateEOF) && len(payload) < MaxPayload
}

// ParseOK reads an OK packet with header 0x00 or 0xfe from a server with which
// caps were agreed. Info and SessionChanges alias payload. It does not
// allocate unless it fails.
func ParseOK(payload []byte, caps Capability) (OK, error) {
	d := decoder{rest: payload, message: "OK"}
	if h := d.byte("header"); h != headerOK && h != headerEOF {
		d.fail("header")
	}
	ok := OK{
		AffectedRows: d.lenencInt("affected rows"),
		LastInsertID: d.lenencInt("last insert id"),
		Status:       Status(d.uint16("status")),
		Warnings:     d.uint16("warnings"),
	}
	switch {
	case !caps.Has(SessionTrack):
		ok.Info = d.untrackedInfo()
	case len(d.rest) > 0:
		ok.Info = d.lenencBytes("info")
		// MariaDB 10.11 sets the flag and leaves the block out where its tracker
		// of transactions has nothing to say after all.
		if ok.Status.Has(SessionStateChange) && len(d.rest) > 0 {
			ok.SessionChanges = d.lenencBytes("session changes")
		}
	}
	if d.err != nil {
		return OK{}, d.err
	}
	return ok, nil
}

// untrackedInfo reads the info of a connection without SessionTrack. The
// protocol doc makes it the rest of the packet; MySQL 9.7 and MariaDB 10.11 put
// a length before it nevertheless. Both are read, servers of other makes may
// follow the letter.
func (d *decoder) untrackedInfo() []byte {
	if len(d.rest) == 0 {
		return nil
	}
	if b, n := ReadLenencBytes(d.rest); n == len(d.rest) {
		return b
	}
	return d.take("info", len(d.rest))
}

// Append appends the packet for a receiver with capabilities caps. header is
// 0x00, or 0xfe at the end of a result set under DeprecateEOF. Without
// SessionTrack among caps, or without changes, the block is left out and
// SessionStateChange is cleared: clients read the block exactly when that flag
// is set.
func (o *OK) Append(dst []byte, header byte, caps Capability) []byte {
	status := o.Status &^ SessionStateChange
	track := caps.Has(SessionTrack) && o.Status.Has(SessionStateChange) && len(o.SessionChanges) > 0
	if track {
		status |= SessionStateChange
	}
	dst = append(dst, header)
	dst = AppendLenencInt(dst, o.AffectedRows)
	dst = AppendLenencInt(dst, o.LastInsertID)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(status))
	dst = binary.LittleEndian.AppendUint16(dst, o.Warnings)
	if len(o.Info) > 0 || track {
		dst = AppendLenencBytes(dst, o.Info)
	}
	if track {
		dst = AppendLenencBytes(dst, o.SessionChanges)
	}
	return dst
}
