package session

import (
	"encoding/binary"

	"github.com/telamondb/telamon/wire"
)

// ParseNamedExecute is ParseExecute for a client with QueryAttributes: if the
// packet says how many values it has, their types come with names, and those
// behind the statement's own parameters are query attributes.
func ParseNamedExecute(p []byte, params uint16) (e Execute, ok bool) {
	if len(p) < 10 || p[5]&wire.AttributesAvailable == 0 {
		return ParseExecute(p, params)
	}
	e = Execute{ID: binary.LittleEndian.Uint32(p[1:]), Flags: p[5] &^ wire.AttributesAvailable, Named: true}
	count, n := wire.ReadLenencInt(p[10:])
	if n == 0 || count < uint64(params) || count > maxValues {
		return e, false
	}
	e.Values = 10 + n
	if count == 0 {
		return e, true
	}
	e.NullsAt = 10 + n
	e.TypesAt = e.NullsAt + int(count+7)/8
	if len(p) <= e.TypesAt {
		return e, false
	}
	e.Values = e.TypesAt + 1
	if e.Bound = p[e.TypesAt] != 0; !e.Bound {
		return e, true
	}
	for range count {
		if len(p) < e.Values+2 {
			return e, false
		}
		_, n := wire.ReadLenencBytes(p[e.Values+2:])
		if n == 0 {
			return e, false
		}
		e.Values += 2 + n
	}
	return e, true
}

// maxValues is more than any server takes: 65535 parameters and as many attributes.
const maxValues = 1 << 17

// BindExecute notes the types that an execute carries, if it does.
func (p *Prepared) BindExecute(payload []byte, e *Execute) {
	if !e.Bound || p.Params == 0 {
		return
	}
	if e.Bulk {
		p.Bind(payload[7 : 7+2*int(p.Params)])
		return
	}
	types := payload[e.TypesAt+1:]
	if !e.Named {
		p.Bind(types[:2*int(p.Params)])
		return
	}
	same := p.Generation > 0
	rest := types
	for i := 0; i < int(p.Params) && same; i++ {
		same = string(rest[:2]) == string(p.Types[2*i:2*i+2])
		rest = behindName(rest)
	}
	if same {
		return
	}
	p.Types = p.Types[:0]
	for range p.Params {
		p.Types = append(p.Types, types[:2]...)
		types = behindName(types)
	}
	p.Generation++
}

// ParseBulk is ParseExecute for a COM_STMT_BULK_EXECUTE, in which the types
// follow the flags; MariaDB KB, "COM_STMT_BULK_EXECUTE".
func ParseBulk(p []byte, params uint16) (e Execute, ok bool) {
	if len(p) < 7 {
		return e, false
	}
	e = Execute{ID: binary.LittleEndian.Uint32(p[1:]), Bound: p[5]&bulkTypes != 0 || params == 0, Bulk: true}
	return e, p[5]&bulkTypes == 0 || len(p) >= 7+2*int(params)
}

// bulkTypes is STMT_BULK_FLAG_CLIENT_SEND_TYPES.
const bulkTypes = 128

// behindName skips a type and its name.
func behindName(types []byte) []byte {
	_, n := wire.ReadLenencBytes(types[2:])
	return types[2+n:]
}

// Rebuild returns the payload of an execute with the types of p in it, for a
// connection that has not been told them, or that does not understand query
// attributes (not named). Of those nothing is left then but the values, behind
// all that the server reads.
func (e *Execute) Rebuild(payload []byte, p *Prepared, named bool) []byte {
	b := make([]byte, 0, len(payload)+3*len(p.Types)+4)
	if e.Bulk {
		b = append(b, payload[:7]...)
		b[5] |= bulkTypes
		return append(append(b, p.Types...), payload[7:]...)
	}
	b = append(b, payload[:10]...)
	nulls := 10
	if e.Named {
		b[5] &^= wire.AttributesAvailable
		nulls = e.NullsAt
	}
	if p.Params == 0 {
		return b
	}
	named = named && e.Named
	if named {
		b[5] |= wire.AttributesAvailable
		b = wire.AppendLenencInt(b, uint64(p.Params))
	}
	b = append(b, payload[nulls:nulls+(int(p.Params)+7)/8]...)
	values := e.TypesAt + 1
	if e.Bound && e.Named {
		values = e.Values
	} else if e.Bound {
		values += 2 * int(p.Params)
	}
	if p.Generation == 0 { // there are none, which the server will not like
		return append(b, payload[e.TypesAt:]...)
	}
	b = append(b, 1)
	for i := range int(p.Params) {
		b = append(b, p.Types[2*i:2*i+2]...)
		if named {
			b = append(b, 0)
		}
	}
	return append(b, payload[values:]...)
}
