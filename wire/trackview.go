package wire

import "strings"

// TrackView is what a client wants to be told of changes to its session: its
// session_track_* settings. A proxy that has a server report more than its
// client has asked for passes on what the view selects. It is a plain value.
//
// Transactions are not part of it: whoever does not ask a server for them is not
// told.
type TrackView struct {
	// Variables is session_track_system_variables: names separated by commas,
	// or "*" for all.
	Variables string
	// Schema is session_track_schema.
	Schema bool
	// GTIDs says that session_track_gtids is not OFF (MySQL only).
	GTIDs bool
	// HideState leaves out that the state has changed as such: the server has been
	// asked for that, and the client has not.
	HideState bool
}

// DefaultTrackView is what servers report unless told otherwise (measured,
// MySQL 9.7 and MariaDB 10.11).
func DefaultTrackView() TrackView {
	return TrackView{
		Variables: "time_zone,autocommit,character_set_client,character_set_results,character_set_connection",
		Schema:    true,
	}
}

// Append appends what of a block of session changes is in the view. An entry
// that cannot be read goes through, with all behind it.
func (v *TrackView) Append(dst, block []byte) []byte {
	for len(block) > 0 {
		data, n := ReadLenencBytes(block[1:])
		if n == 0 {
			return append(dst, block...)
		}
		entry := block[:1+n]
		block = block[1+n:]
		switch ChangeType(entry[0]) {
		case ChangeSystemVariable:
			dst = v.appendVariables(dst, data)
			continue
		case ChangeSchema:
			if !v.Schema {
				continue
			}
		case ChangeGTIDs:
			if !v.GTIDs {
				continue
			}
		case ChangeState:
			if v.HideState {
				continue
			}
		}
		dst = append(dst, entry...)
	}
	return dst
}

// appendVariables appends an entry for each variable in the view, under the
// name the client has given it: that is how MySQL 9.7 calls it.
func (v *TrackView) appendVariables(dst, data []byte) []byte {
	for len(data) > 0 {
		name, n := ReadLenencBytes(data)
		_, m := ReadLenencBytes(data[n:])
		if n == 0 || m == 0 {
			return dst
		}
		if as, ok := v.variable(name); ok {
			// The entry's bytes as they are, whatever form its lengths have: a name
			// in another spelling is as long.
			dst = append(dst, byte(ChangeSystemVariable))
			dst = AppendLenencInt(dst, uint64(n+m))
			dst = append(dst, data[:n+m]...)
			copy(dst[len(dst)-m-len(as):], as)
		}
		data = data[n+m:]
	}
	return dst
}

// variable reports whether a variable is in the view, and how the view spells
// it, "" if only "*" stands for it.
func (v *TrackView) variable(name []byte) (as string, ok bool) {
	for rest := v.Variables; rest != ""; {
		var item string
		item, rest, _ = strings.Cut(rest, ",")
		item = strings.TrimSpace(item)
		switch {
		case item == "*":
			ok = true
		case len(item) == len(name) && equalFold(item, name):
			return item, true
		}
	}
	return "", ok
}

// equalFold compares ASCII letters of any case.
func equalFold(s string, b []byte) bool {
	for i := range len(s) {
		x, y := s[i], b[i]
		if 'A' <= x && x <= 'Z' {
			x += 'a' - 'A'
		}
		if 'A' <= y && y <= 'Z' {
			y += 'a' - 'A'
		}
		if x != y {
			return false
		}
	}
	return true
}
