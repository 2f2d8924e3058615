package wire

import (
	"bytes"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
)

// model is a response as the server means it. encode is the plain counterpart
// of Response: it makes the bytes from the meaning, packet by packet.
type model struct {
	kind        ResponseKind
	status      Status // of the session before the command
	seq         byte   // of the first packet
	clientID    uint32 // prepare: what the client calls the statement
	filePackets int    // sent by the client when asked for a file
	view        *TrackView
	call        bool // a CALL
	mysql       bool // the server's flavour
	definitions bool // the Response has those that the server leaves out
	parts       []part
}

// part is one of the types below.
type part interface{ encode(e *encoder, last bool) }

type (
	okPart      OK           // an OK packet
	eofPart     struct{ OK } // EOF, or OK in its place, in answer to COM_SET_OPTION
	errPart     []byte       // payload of an ERR packet
	filePart    []byte       // payload of a LOCAL INFILE request
	stringPart  []byte       // payload without structure
	preparePart struct {     // answer to COM_STMT_PREPARE
		id              uint32
		warnings        uint16
		params, columns []modelDef
		metaStatus      Status
	}
	resultSet struct {
		fields     bool // COM_FIELD_LIST: no count, the definitions end the response
		bare       bool // COM_STMT_FETCH: rows only
		defs       []modelDef
		cached     bool   // a server that may leave definitions out does
		progress   []byte // reported behind the first row
		metaStatus Status // of the EOF after definitions
		cursor     bool   // definitions only, a cursor was opened
		out        bool   // OUT parameters, with MySQL's missing flags
		rows       [][]byte
		err        []byte // ends the rows, if not nil
		end        OK
	}
)

// encoder collects what a client with one set of capabilities gets from a
// server with another, and the state a Response has at the end.
type encoder struct {
	m              *model
	server, client Capability
	seq            byte
	out            []byte
	r              Response
	log            sessionLog
}

// sent is what a server with these capabilities sends.
func (m *model) sent(server Capability) []byte {
	plain := *m
	plain.clientID, plain.view, plain.definitions = 0, nil, false
	p, _ := plain.received(server, server)
	return p
}

// received is what the client is to get, and outcomeOf the Response at its end.
func (m *model) received(server, client Capability) (p []byte, outcome string) {
	e := &encoder{m: m, server: server, client: client, seq: m.seq}
	e.r.Status = m.status & sessionStatus
	for i, p := range m.parts {
		p.encode(e, i == len(m.parts)-1)
	}
	return e.out, outcomeOf(&e.r, e.log)
}

func (e *encoder) packet(payload []byte) { e.out, e.seq = AppendPacket(e.out, e.seq, payload) }

// announce adds the flag for another result.
func announce(s Status, last bool) Status {
	if last {
		return s
	}
	return s | MoreResultsExist
}

// ok is an OK as the server sends it, changes left out if it does not track.
func (e *encoder) ok(ok OK, last bool) OK {
	ok.Status = announce(ok.Status, last)
	if e.server.Has(SessionTrack) && len(ok.SessionChanges) > 0 {
		ok.Status |= SessionStateChange
		e.log = append(e.log, ok.SessionChanges)
		if e.m.view != nil && e.client.Has(SessionTrack) {
			ok.SessionChanges = e.m.seen(ok.SessionChanges)
		}
	} else {
		ok.SessionChanges = nil
	}
	return ok
}

// seen is what of a block of session changes the client wants to be told.
func (m *model) seen(block []byte) (visible []byte) {
	for c := NewChanges(block); c.Next(); {
		ch := c.Change()
		switch {
		case ch.Type == ChangeSystemVariable && slices.Contains(strings.Split(m.view.Variables, ","), string(ch.Name)):
			visible = append(visible, variable(string(ch.Name), string(ch.Value))...)
		case ch.Type == ChangeSchema && m.view.Schema, ch.Type == ChangeTrxState:
			visible = AppendChange(visible, ch.Type, string(ch.Value))
		case ch.Type == ChangeGTIDs && m.view.GTIDs:
			visible = AppendLenencBytes(append(visible, byte(ChangeGTIDs)), AppendLenencBytes([]byte{0}, ch.Value))
		}
	}
	return visible
}

func variable(name, value string) []byte {
	pair := AppendLenencString(AppendLenencString(nil, name), value)
	return AppendLenencBytes([]byte{byte(ChangeSystemVariable)}, pair)
}

func (e *encoder) note(s Status, warnings uint16) {
	e.r.Status, e.r.StatusSeen, e.r.Warnings = s, true, warnings
}

func (e *encoder) eof(warnings uint16, s Status) {
	e.packet([]byte{headerEOF, byte(warnings), byte(warnings >> 8), byte(s), byte(s >> 8)})
}

// terminator is the end of rows or definitions.
func (e *encoder) terminator(ok OK) {
	switch {
	case !e.client.Has(DeprecateEOF):
		e.eof(ok.Warnings, ok.Status&^SessionStateChange)
	case !e.server.Has(DeprecateEOF):
		plain := OK{Status: ok.Status &^ SessionStateChange, Warnings: ok.Warnings}
		e.packet(plain.Append(nil, headerEOF, e.client))
	default:
		e.packet(ok.Append(nil, headerEOF, e.client))
	}
}

// end is the terminator as the server sends it.
func (e *encoder) end(ok OK, last bool) OK {
	if !e.server.Has(DeprecateEOF) {
		return OK{Status: announce(ok.Status, last), Warnings: ok.Warnings}
	}
	return e.ok(ok, last)
}

func (p okPart) encode(e *encoder, last bool) {
	ok := e.ok(OK(p), last)
	e.packet(ok.Append(nil, headerOK, e.client))
	e.note(ok.Status, ok.Warnings)
	e.r.AffectedRows = ok.AffectedRows
	if ok.LastInsertID > 0 {
		e.r.LastInsertID = ok.LastInsertID
	}
}

func (p eofPart) encode(e *encoder, last bool) {
	end := e.end(p.OK, last)
	e.terminator(end)
	e.note(end.Status, end.Warnings)
}

func (p errPart) encode(e *encoder, _ bool) {
	e.packet(p)
	e.r.ErrCode = uint16(p[1]) | uint16(p[2])<<8
}

func (p stringPart) encode(e *encoder, _ bool) { e.packet(p) }

// progress is a report to those who read them.
func (e *encoder) progress(p []byte) {
	if p != nil && e.server.Has(MariaDBProgress) && e.client.Has(MariaDBProgress) {
		e.packet(p)
	}
}

// modelDef is a definition: the six names, MariaDB's extended metadata, the rest.
type modelDef struct {
	names    [6]string
	extended string
	rest     []byte
}

func (d *modelDef) encode(caps Capability) (p []byte) {
	for _, n := range d.names {
		p = AppendLenencString(p, n)
	}
	if caps.Has(MariaDBExtMetadata) {
		p = AppendLenencString(p, d.extended)
	}
	return append(p, d.rest...)
}

// definition is a definition for the client, which knows of a server's extended
// metadata only if both do.
func (e *encoder) definition(d modelDef) {
	if !e.server.Has(MariaDBExtMetadata) {
		d.extended = ""
	}
	e.packet(d.encode(e.client))
}

// hash is what the Response says of definitions that the client was sent.
func (e *encoder) hash(defs []modelDef) {
	if !e.server.Has(MariaDBCacheMetadata) || len(defs) == 0 {
		return
	}
	h := fnv.New64a()
	for _, d := range defs {
		_, _ = h.Write(d.encode(e.server))
	}
	e.r.Metadata = h.Sum64()
}

func (p filePart) encode(e *encoder, _ bool) {
	e.packet(p)
	e.seq += byte(e.m.filePackets)
}

func (p preparePart) encode(e *encoder, _ bool) {
	id := p.id
	if e.m.clientID != 0 {
		id = e.m.clientID
	}
	columns, params := len(p.columns), len(p.params)
	e.packet([]byte{
		headerOK, byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24), byte(columns), byte(columns >> 8),
		byte(params), byte(params >> 8), 0, byte(p.warnings), byte(p.warnings >> 8),
	})
	e.r.StatementID, e.r.Columns, e.r.Params, e.r.Warnings = p.id, uint16(columns), uint16(params), p.warnings
	e.hash(p.columns)
	for _, defs := range [][]modelDef{p.params, p.columns} {
		for _, d := range defs {
			e.definition(d)
		}
		if len(defs) > 0 {
			e.metaEOF(p.warnings, p.metaStatus, e.r.Status&sessionStatus)
		}
	}
}

// metaEOF is the EOF after definitions: the server's own with status s, or one
// inserted with status known.
func (e *encoder) metaEOF(warnings uint16, s, known Status) {
	if e.server.Has(DeprecateEOF) {
		s = known
	} else {
		e.r.Status, e.r.StatusSeen = s, true
	}
	if !e.client.Has(DeprecateEOF) {
		e.eof(warnings, s)
	}
}

func (p resultSet) encode(e *encoder, last bool) {
	cached := p.cached && e.server.Has(MariaDBCacheMetadata) && !e.m.definitions
	if !p.fields && !p.bare {
		count := AppendLenencInt(nil, uint64(len(p.defs)))
		if e.client.Has(MariaDBCacheMetadata) {
			count = append(count, map[bool]byte{false: 1, true: 0}[cached])
		}
		e.packet(count)
		e.r.ResultSets++
	}
	if !cached {
		for _, d := range p.defs {
			e.definition(d)
		}
		if !p.fields {
			e.hash(p.defs)
		}
	}
	known := e.r.Status & sessionStatus
	end := p.end
	if p.cursor {
		end.Status |= CursorExists
	}
	if p.out {
		end.Status |= PSOutParams
	}
	if p.err == nil {
		end = e.end(end, last)
	}
	if len(p.rows) == 0 && p.err == nil {
		known = end.Status &^ SessionStateChange // the terminator is there already
	}
	if !p.fields && !p.bare && !p.cursor {
		meta := announce(p.metaStatus, last)
		if p.out {
			meta |= PSOutParams
		}
		if e.m.call && (len(p.rows) > 0 || p.err != nil) {
			known |= MoreResultsExist
			if p.out && len(p.rows) == 1 && p.err == nil {
				known |= PSOutParams
			}
		}
		e.metaEOF(0, meta, known)
	}
	for i, row := range p.rows {
		e.packet(row)
		e.r.Rows++
		if i == 0 && !e.m.call {
			e.progress(p.progress)
		}
	}
	if p.err != nil {
		errPart(p.err).encode(e, last)
		return
	}
	e.note(end.Status, end.Warnings)
	told := !e.server.Has(DeprecateEOF) || e.m.mysql && (e.m.call && len(p.rows) == 1 || len(p.rows) == 0)
	if p.out && told && !e.client.Has(DeprecateEOF) {
		end.Status &^= PSOutParams | MoreResultsExist // as MySQL sends it, and it goes through
	}
	e.terminator(end)
}

// newModel makes a random response.
func newModel(rng *rand.Rand) *model {
	m := randomModel(rng)
	if m.definitions {
		// The Response has the definitions of one result set.
		cached := false
		for i := range m.parts {
			if rs, ok := m.parts[i].(resultSet); ok {
				rs.cached, cached = rs.cached && !cached, cached || rs.cached
				m.parts[i] = rs
			}
		}
	}
	return m
}

func randomModel(rng *rand.Rand) *model {
	m := &model{
		kind:        1 + ResponseKind(rng.IntN(6)),
		status:      Status(rng.Uint32()) & (sessionStatus | MoreResultsExist | NoIndexUsed),
		seq:         []byte{1, 1, 2, 255}[rng.IntN(4)],
		filePackets: 1 + rng.IntN(300),
	}
	m.definitions, m.mysql = rng.IntN(2) == 0, rng.IntN(2) == 0
	if rng.IntN(2) == 0 {
		m.view = &TrackView{Variables: []string{"", "autocommit,time_zone", "time_zone", "sql_mode"}[rng.IntN(4)], Schema: rng.IntN(2) == 0, GTIDs: rng.IntN(2) == 0}
	}
	if rng.IntN(5) == 0 {
		m.kind, m.call, m.parts = ResponseQuery, true, randomCall(rng)
		return m
	}
	if rng.IntN(8) == 0 && m.kind != ResponseQuery {
		m.parts = []part{randomErr(rng)}
		return m
	}
	switch m.kind {
	case ResponseQuery:
		m.parts = randomResults(rng)
	case ResponsePrepare:
		m.clientID = rng.Uint32N(2) * rng.Uint32()
		m.parts = []part{preparePart{
			id: rng.Uint32(), warnings: uint16(rng.IntN(3)), metaStatus: randomStatus(rng),
			params: randomDefs(rng, rng.IntN(4)), columns: randomDefs(rng, rng.IntN(4)),
		}}
	case ResponseFields:
		m.parts = []part{resultSet{fields: true, defs: randomDefs(rng, rng.IntN(5)), end: randomOK(rng)}}
	case ResponseRows:
		rs := resultSet{bare: true, rows: randomRows(rng), end: randomOK(rng)}
		if rng.IntN(5) == 0 {
			rs.err = randomErr(rng)
		} else {
			rs.cursor = rng.IntN(2) == 0
		}
		m.parts = []part{rs}
	case ResponseOK:
		m.parts = []part{okPart(randomOK(rng))}
		if rng.IntN(3) == 0 {
			m.parts = []part{eofPart{randomOK(rng)}}
		}
	case ResponseString:
		m.parts = []part{stringPart("Uptime: 1  Threads: 1  Questions: 9")}
	}
	return m
}

func randomResults(rng *rand.Rand) (parts []part) {
	for range 1 + rng.IntN(4) {
		switch rng.IntN(8) {
		case 0:
			return append(parts, randomErr(rng))
		case 1:
			return append(parts, randomSet(rng, randomErr(rng)))
		case 2:
			return append(parts, filePart("\xfbname"), okPart(randomOK(rng)))
		case 3:
			rs := randomSet(rng, nil)
			rs.out = true
			return append(parts, rs, okPart(randomOK(rng)))
		case 4:
			rs := randomSet(rng, nil)
			rs.rows, rs.cursor = nil, true
			return append(parts, rs)
		case 5, 6:
			parts = append(parts, randomSet(rng, nil))
		default:
			parts = append(parts, okPart(randomOK(rng)))
		}
	}
	return parts
}

// randomCall is the answer to a CALL: sets, perhaps the OUT parameters, and an
// OK or an ERR.
func randomCall(rng *rand.Rand) (parts []part) {
	for range rng.IntN(3) {
		parts = append(parts, randomSet(rng, nil))
	}
	switch rng.IntN(3) {
	case 0:
		return append(parts, randomSet(rng, randomErr(rng)))
	case 1:
		rs := randomSet(rng, nil)
		rs.out, rs.rows = true, rs.rows[:min(1, len(rs.rows))]
		parts = append(parts, rs)
	}
	return append(parts, okPart(randomOK(rng)))
}

func randomSet(rng *rand.Rand, err []byte) resultSet {
	rs := resultSet{defs: randomDefs(rng, 1+rng.IntN(4)*rng.IntN(100)), metaStatus: randomStatus(rng), rows: randomRows(rng), err: err, end: randomOK(rng)}
	rs.cached = rng.IntN(2) == 0
	if rng.IntN(4) == 0 {
		rs.progress = append([]byte("\xff\xff\xff\x01\x01\x02\x82\x06\x00"), AppendLenencBytes(nil, randomBytes(rng, 40))...)
	}
	return rs
}

func randomDefs(rng *rand.Rand, n int) (defs []modelDef) {
	for range n {
		d := modelDef{names: [6]string{"def"}, extended: string(randomBytes(rng, 9)), rest: randomBytes(rng, 30)}
		for i := range 5 {
			d.names[1+i] = string(randomBytes(rng, 12))
		}
		defs = append(defs, d)
	}
	return defs
}

// randomRows begin in all the ways rows begin: NULL, empty strings, the binary
// protocol's 0x00, lengths of one, three and four bytes.
func randomRows(rng *rand.Rand) (rows [][]byte) {
	starts := []string{"\xfb", "\x00", "\x00\x00", "\xfb\xfb\xfb", "\xfc\xff\x00", "\xfd\xff\xff\xff", "\x05\xfe\x00\x00\x02\x00", "\xfa\xff", "\x01"}
	for range rng.IntN(12) {
		rows = append(rows, append([]byte(starts[rng.IntN(len(starts))]), randomBytes(rng, 300)...))
	}
	return rows
}

func randomBytes(rng *rand.Rand, most int) []byte {
	b := make([]byte, rng.IntN(most))
	for i := range b {
		b[i] = []byte{0, 1, headerEOF, headerERR, headerLocalInfile, byte(rng.Uint32())}[rng.IntN(6)]
	}
	return b
}

func randomErr(rng *rand.Rand) errPart {
	return append([]byte{headerERR, byte(rng.Uint32()), byte(1 + rng.IntN(40))}, bytes.Repeat([]byte("#42000no"), rng.IntN(3))...)
}

func randomStatus(rng *rand.Rand) Status {
	return Status(rng.Uint32()) &^ (MoreResultsExist | CursorExists | PSOutParams | SessionStateChange)
}

func randomOK(rng *rand.Rand) OK {
	ok := OK{Status: randomStatus(rng), Warnings: uint16(rng.IntN(3)), AffectedRows: rng.Uint64() >> rng.IntN(64), LastInsertID: rng.Uint64() >> rng.IntN(65)}
	if rng.IntN(3) == 0 {
		ok.Info = []byte("Rows matched: 1  Changed: 0  Warnings: 0")
	}
	if rng.IntN(3) == 0 {
		ok.SessionChanges = randomChanges(rng)
	}
	return ok
}

func randomChanges(rng *rand.Rand) (block []byte) {
	for range 1 + rng.IntN(4) {
		switch value := string(randomBytes(rng, 300)); rng.IntN(4) {
		case 0:
			block = AppendChange(block, []ChangeType{ChangeSchema, ChangeTrxState}[rng.IntN(2)], value)
		case 1:
			block = AppendLenencBytes(append(block, byte(ChangeGTIDs)), AppendLenencString([]byte{0}, value))
		default:
			block = append(block, variable([]string{"autocommit", "time_zone", "sql_mode", "last_gtid"}[rng.IntN(4)], value)...)
		}
	}
	return block
}
