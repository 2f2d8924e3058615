package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// relay drives r over the server's bytes as a proxy does, receiving them in
// pieces of at most chunk bytes. It returns what the client gets and what r
// left unread. The client answers a LOCAL INFILE request with filePackets packets.
func relay(r *Response, server []byte, chunk, filePackets int) (client, rest []byte, err error) {
	server = bytes.Clone(server)
	client = make([]byte, 0, len(server)+len(server)/8)
	unread := server[:0:len(server)]
	received, waiting := 0, false
	defer func() { rest = append(unread[:len(unread):len(unread)], server[received:]...) }()
	for steps := 0; !r.Done(); steps++ {
		if steps > 8*len(server)+64 {
			return client, nil, errors.New("Step makes no progress")
		}
		if waiting {
			if received == len(server) {
				break
			}
			waiting = false
			more := min(chunk, len(server)-received)
			unread = unread[:len(unread)+more]
			received += more
		}
		op, n := r.Step(unread)
		switch {
		case op == OpMore && n == 0:
			waiting = true
			continue
		case op == OpForward && n > 0, op == OpInfile && n > 0:
			client = append(client, unread[:n]...)
		case op == OpReplace && (n > 0 || len(r.Packet()) > 0):
			client = append(client, r.Packet()...)
		case op == OpFail && n == 0 && r.Err() != nil:
			return client, nil, r.Err()
		default:
			return client, nil, fmt.Errorf("op %d with n %d", op, n)
		}
		if op == OpInfile {
			c, s := r.InfileSeq()
			r.InfileSent(s+byte(filePackets), c+byte(filePackets))
		}
		unread = unread[n:]
	}
	return client, nil, nil
}

// sessionLog collects what a SessionObserver is told.
type sessionLog [][]byte

func (l *sessionLog) SessionChanges(block []byte) { *l = append(*l, bytes.Clone(block)) }

var allCaps = []Capability{0, SessionTrack, DeprecateEOF, DeprecateEOF | SessionTrack}

// extendedCaps are those of MariaDB's with which a side may differ from the
// other; a server leaves definitions out only for one that can do without.
const extendedCaps = MariaDBProgress | MariaDBExtMetadata | MariaDBCacheMetadata

var extendedPairs = [][2]Capability{
	{extendedCaps | DeprecateEOF | SessionTrack, extendedCaps | DeprecateEOF | SessionTrack},
	{extendedCaps | DeprecateEOF | SessionTrack, extendedCaps},
	{extendedCaps, extendedCaps | DeprecateEOF},
	{extendedCaps, extendedCaps},
	{MariaDBProgress | MariaDBExtMetadata | DeprecateEOF, 0},
	{MariaDBProgress | MariaDBExtMetadata, DeprecateEOF},
	{DeprecateEOF, extendedCaps | DeprecateEOF},
	{DeprecateEOF | SessionTrack, extendedCaps | SessionTrack},
	{0, extendedCaps | DeprecateEOF},
	{MariaDBExtMetadata | DeprecateEOF, MariaDBCacheMetadata | DeprecateEOF},
}

func TestMariaDBsExtensionsReachClientsThatKnowThem(t *testing.T) {
	for _, pair := range extendedPairs {
		server, client := pair[0], pair[1]
		t.Run(capsName(server)+" to "+capsName(client), func(t *testing.T) {
			for seed := range uint64(400) {
				rng := rand.New(rand.NewPCG(seed, uint64(server|client<<1)))
				testModel(t, newModel(rng), server, client, rng)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func TestARandomResponseReachesTheClientAsAServerOfItsKindWouldSendIt(t *testing.T) {
	for _, server := range allCaps {
		for _, client := range allCaps {
			t.Run(capsName(server)+" to "+capsName(client), func(t *testing.T) {
				for seed := range uint64(400) {
					rng := rand.New(rand.NewPCG(seed, uint64(server|client<<1)))
					testModel(t, newModel(rng), server, client, rng)
					if t.Failed() {
						t.Fatalf("seed %d", seed)
					}
				}
			})
		}
	}
}

// testModel compares Response with the model. What follows the response must
// stay unread.
func testModel(t *testing.T, m *model, server, client Capability, rng *rand.Rand) {
	t.Helper()
	sent := m.sent(server)
	want, outcome := m.received(server, client)
	next := []byte("\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00")
	chunk := []int{1, 1 + rng.IntN(16), 1 + rng.IntN(512), len(sent) + len(next)}[rng.IntN(4)]
	var log sessionLog
	var r Response
	r.Begin(m.kind, server, client, m.status, &log)
	r.StartAt(m.seq)
	r.PreparedID, r.View, r.Call = m.clientID, m.view, m.call
	r.MySQL = m.mysql
	if m.definitions {
		for _, p := range m.parts {
			if rs, ok := p.(resultSet); ok && rs.cached {
				for _, d := range rs.defs {
					r.Definitions, _ = AppendPacket(r.Definitions, 77, d.encode(server))
				}
			}
		}
	}
	got, rest, err := relay(&r, append(bytes.Clone(sent), next...), chunk, m.filePackets)
	if err != nil {
		t.Fatalf("%v\nmodel %+v", err, m)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("chunk %d, model %+v\nserver sent %x\nclient got  %x\nshould get  %x", chunk, m, sent, got, want)
	}
	if !r.Done() || !bytes.Equal(rest, next) {
		t.Errorf("done %t, left unread %x", r.Done(), rest)
	}
	if r.Started() != (len(sent) > 0) || r.MidPacket() {
		t.Errorf("started %t, in the middle of a packet %t", r.Started(), r.MidPacket())
	}
	if got := outcomeOf(&r, log); got != outcome {
		t.Errorf("model %+v\n got %s\nwant %s", m, got, outcome)
	}
}

// outcomeOf prints what a Response knows at its end.
func outcomeOf(r *Response, log sessionLog) string {
	return fmt.Sprintf("status %#x seen %t affected %d id %d warnings %d error %d rows %d sets %d statement %d/%d/%d metadata %#x changes %q",
		uint16(r.Status), r.StatusSeen, r.AffectedRows, r.LastInsertID, r.Warnings, r.ErrCode, r.Rows, r.ResultSets,
		r.StatementID, r.Columns, r.Params, r.Metadata, [][]byte(log))
}

func TestAPayloadOverSeveralPacketsIsOneRow(t *testing.T) {
	if testing.Short() {
		t.Skip("moves some hundred MiB")
	}
	for name, row := range map[string][]byte{
		"exactly one full packet and an empty one":         longRow(MaxPayload, 0),
		"one byte more than a packet":                      longRow(MaxPayload+1, headerERR),
		"a tail that looks like an EOF":                    longRow(MaxPayload+5, headerEOF),
		"a tail that looks like an ERR":                    longRow(MaxPayload+40, headerERR),
		"two full packets and an empty one":                longRow(2*MaxPayload, headerOK),
		"a first column of 16 MiB, which begins with 0xfe": AppendLenencBytes(nil, bytes.Repeat([]byte{headerEOF}, 1<<24)),
	} {
		t.Run(name, func(t *testing.T) {
			for _, caps := range [][2]Capability{{0, DeprecateEOF}, {DeprecateEOF, 0}} {
				m := &model{kind: ResponseQuery, status: Autocommit, seq: 1, parts: []part{
					resultSet{defs: []modelDef{{}}, metaStatus: Autocommit, rows: [][]byte{{1, 'x'}, row, {0}}, end: OK{Status: Autocommit}},
				}}
				sent := m.sent(caps[0])
				want, outcome := m.received(caps[0], caps[1])
				var r Response
				r.Begin(m.kind, caps[0], caps[1], m.status, nil)
				got, rest, err := relay(&r, sent, 1<<20-7, 0)
				if err != nil || len(rest) > 0 || !r.Done() {
					t.Fatalf("done %t with %d bytes left: %v", r.Done(), len(rest), err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s to %s: %d bytes differ from the %d expected", capsName(caps[0]), capsName(caps[1]), len(got), len(want))
				}
				if got := outcomeOf(&r, nil); got != outcome {
					t.Errorf("got %s, want %s", got, outcome)
				}
			}
		})
	}
}

// longRow is a row of n bytes whose byte behind the first full packet is tail.
func longRow(n int, tail byte) []byte {
	row := make([]byte, n)
	row[0] = 0xfd
	if n > MaxPayload {
		row[MaxPayload] = tail
	}
	return row
}

func TestSequenceIdsWrapInLongResponses(t *testing.T) {
	rows := make([][]byte, 1000)
	for i := range rows {
		rows[i] = []byte{0xfb}
	}
	m := &model{kind: ResponseQuery, seq: 250, parts: []part{
		resultSet{defs: []modelDef{{}}, rows: rows, end: OK{}},
	}}
	for _, server := range allCaps {
		for _, client := range allCaps {
			testModel(t, m, server, client, rand.New(rand.NewPCG(1, 2)))
		}
	}
}

// The set of OUT parameters of a CALL ends without MoreResultsExist on MySQL
// 9.7 when the client knows no DEPRECATE_EOF; response_golden_test.go has the bytes.
func TestTheOKBehindOUTParametersBelongsToTheResponse(t *testing.T) {
	for _, set := range readCaptures(t, "mysql.txt") {
		if set.name != "execute of a call with OUT parameters" {
			continue
		}
		from := find(set, 0)
		var r Response
		r.Begin(set.kind, 0, 0, from.status, nil)
		got, rest, err := relay(&r, from.bytes(), 1<<20, 0)
		if err != nil || len(rest) > 0 || !bytes.Equal(got, from.bytes()) {
			t.Errorf("left %x of the response: %v", rest, err)
		}
		return
	}
	t.Error("not recorded")
}

func TestAResponseBeginsEmptyAndCanBeReused(t *testing.T) {
	var r Response
	for range 2 {
		r.Begin(ResponseNone, 0, 0, 0, nil)
		if !r.Done() || r.Started() {
			t.Error("a command without answer is done at once")
		}
		r.Begin(ResponseOK, 0, 0, InTrans|MoreResultsExist|CursorExists, nil)
		if r.Done() || r.Started() || r.Status != InTrans || r.StatusSeen || r.NextSeq() != 1 {
			t.Errorf("state after Begin: %+v", r)
		}
		if _, rest, err := relay(&r, []byte("\x07\x00\x00\x01\x00\x05\x09\x02\x00\x00\x00"), 100, 0); err != nil || len(rest) > 0 {
			t.Errorf("left %x: %v", rest, err)
		}
		if r.AffectedRows != 5 || r.LastInsertID != 9 || r.Status != Autocommit || r.NextSeq() != 2 {
			t.Errorf("state after an OK: %+v", r)
		}
	}
}

// After a row was sent in part, nothing but the rest of it may follow.
func TestMidPacketIsTrueWhileAPacketIsSentInPart(t *testing.T) {
	var r Response
	r.Begin(ResponseRows, 0, 0, 0, nil)
	p := []byte("\x05\x00\x00\x01\x04abcd")
	for cut := range len(p) + 1 {
		r.Begin(ResponseRows, 0, 0, 0, nil)
		_, n := r.Step(bytes.Clone(p[:cut]))
		if want := n > 0 && n < len(p); r.MidPacket() != want {
			t.Errorf("%d bytes received, %d sent: in the middle of a packet %t", cut, n, r.MidPacket())
		}
		if n > 0 && r.NextSeq() != 2 {
			t.Errorf("next sequence id %d", r.NextSeq())
		}
	}
}

func TestAServerThatBreaksTheProtocolIsFound(t *testing.T) {
	const (
		count   = "\x01\x00\x00\x01\x01"
		def     = "\x04\x00\x00\x02\x03def"
		metaEOF = "\x05\x00\x00\x03\xfe\x00\x00\x02\x00"
		row     = "\x02\x00\x00\x04\x01x"
	)
	for _, c := range []struct {
		name   string
		kind   ResponseKind
		caps   Capability
		passes string // reaches the client
		fails  string // does not
	}{
		{name: "sequence id too high in the first packet", kind: ResponseQuery, fails: "\x01\x00\x00\x02\x01"},
		{name: "unsolicited ERR with sequence id 0", kind: ResponseQuery, fails: "\x09\x00\x00\x00\xff\xbf\x0f#HY000"},
		{name: "sequence id that skips one in the definitions", kind: ResponseQuery, passes: count, fails: "\x04\x00\x00\x03\x03def"},
		{name: "sequence id repeated in the rows", kind: ResponseQuery, passes: count + def + metaEOF + row, fails: row},
		{name: "empty packet where the response begins", kind: ResponseQuery, fails: "\x00\x00\x00\x01"},
		{name: "empty packet where a definition belongs", kind: ResponseQuery, passes: count, fails: "\x00\x00\x00\x02"},
		{name: "empty packet where a row belongs", kind: ResponseQuery, passes: count + def + metaEOF, fails: "\x00\x00\x00\x04"},
		{name: "empty packet in place of statistics", kind: ResponseString, fails: "\x00\x00\x00\x01"},
		{name: "column count 0 in a length-encoded form", kind: ResponseQuery, fails: "\x03\x00\x00\x01\xfc\x00\x00"},
		{name: "column count cut short", kind: ResponseQuery, fails: "\x02\x00\x00\x01\xfc\x01"},
		{name: "column count with bytes behind it", kind: ResponseQuery, fails: "\x02\x00\x00\x01\x01\x01"},
		{name: "EOF where the response begins", kind: ResponseQuery, fails: "\x05\x00\x00\x01\xfe\x00\x00\x02\x00"},
		{name: "request for a file in answer to a ping", kind: ResponseOK, fails: "\x02\x00\x00\x01\xfbx"},
		{name: "request for a file in answer to a prepare", kind: ResponsePrepare, fails: "\x02\x00\x00\x01\xfbx"},
		{name: "result set in answer to a ping", kind: ResponseOK, fails: count},
		{name: "OK without anything", kind: ResponseOK, fails: "\x01\x00\x00\x01\x00"},
		{name: "OK cut in the status", kind: ResponseOK, fails: "\x04\x00\x00\x01\x00\x00\x00\x02"},
		{name: "OK without warnings", kind: ResponseQuery, fails: "\x05\x00\x00\x01\x00\x00\x00\x02\x00"},
		{name: "OK with a number cut short", kind: ResponseOK, fails: "\x07\x00\x00\x01\x00\xfe\x00\x02\x00\x00\x00"},
		{name: "OK with info longer than the packet", kind: ResponseOK, caps: SessionTrack, fails: "\x09\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x05a"},
		{name: "OK with session changes longer than the packet", kind: ResponseOK, caps: SessionTrack, fails: "\x0a\x00\x00\x01\x00\x00\x00\x02\x40\x00\x00\x00\xfe\xff"},
		{name: "ERR without a code", kind: ResponseOK, fails: "\x02\x00\x00\x01\xff\x10"},
		{name: "ERR without a code behind rows", kind: ResponseQuery, passes: count + def + metaEOF + row, fails: "\x01\x00\x00\x05\xff"},
		{name: "row where the EOF after definitions belongs", kind: ResponseQuery, passes: count + def, fails: "\x02\x00\x00\x03\x01x"},
		{name: "EOF after definitions too short", kind: ResponseQuery, passes: count + def, fails: "\x03\x00\x00\x03\xfe\x00\x00"},
		{name: "EOF after definitions too long", kind: ResponseQuery, passes: count + def, fails: "\x07\x00\x00\x03\xfe\x00\x00\x02\x00\x00\x00"},
		{name: "EOF behind rows too short", kind: ResponseQuery, passes: count + def + metaEOF + row, fails: "\x01\x00\x00\x05\xfe"},
		{name: "EOF in place of an OK behind rows", kind: ResponseQuery, caps: DeprecateEOF, passes: count + def + "\x02\x00\x00\x03\x01x", fails: "\x05\x00\x00\x04\xfe\x00\x00\x02\x00"},
		{name: "answer to a prepare cut short", kind: ResponsePrepare, fails: "\x09\x00\x00\x01\x00\x01\x00\x00\x00\x01\x00\x01\x00"},
		{name: "EOF in answer to a prepare", kind: ResponsePrepare, fails: "\x05\x00\x00\x01\xfe\x00\x00\x02\x00"},
		{name: "OK of 16 MiB", kind: ResponseOK, fails: "\xff\xff\xff\x01\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, chunk := range []int{1, 3, 1 << 10} {
				var r Response
				r.Begin(c.kind, c.caps, c.caps, 0, nil)
				got, rest, err := relay(&r, []byte(c.passes+c.fails), chunk, 0)
				if err == nil {
					t.Fatalf("chunk %d: no error, client got %x, left %x", chunk, got, rest)
				}
				if string(got) != c.passes {
					t.Errorf("chunk %d: client got %x, want %x", chunk, got, c.passes)
				}
				if r.MidPacket() || r.NextSeq() != byte(1+countPackets([]byte(c.passes))) {
					t.Errorf("an error packet cannot follow: in the middle of a packet %t, next sequence id %d", r.MidPacket(), r.NextSeq())
				}
				if op, n := r.Step([]byte("\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00")); op != OpFail || n != 0 {
					t.Errorf("after a failure Step goes on with op %d", op)
				}
			}
		})
	}
}

func countPackets(p []byte) (n int) {
	for ; len(p) > 0; n++ {
		p = p[HeaderSize+PacketLen(p):]
	}
	return n
}

// The rest of a packet that was sent in part must go out before a failure in
// the next one is told, or an error packet would land inside it.
func TestAFailureWaitsUntilThePacketBeforeIsSent(t *testing.T) {
	var r Response
	r.Begin(ResponseRows, 0, 0, 0, nil)
	if op, n := r.Step([]byte("\x05\x00\x00\x01\x04ab")); op != OpForward || n != 7 {
		t.Fatalf("op %d, n %d", op, n)
	}
	rest := []byte("cd" + "\x02\x00\x00\x09\x01x")
	if op, n := r.Step(rest); op != OpForward || n != 2 {
		t.Fatalf("op %d, n %d", op, n)
	}
	if op, _ := r.Step(rest[2:]); op != OpFail || !errors.Is(r.Err(), ErrSequence) {
		t.Fatalf("op %d, error %v", op, r.Err())
	}
}

// FuzzResponse feeds arbitrary bytes: Step must always get on, what it says
// must not depend on how the bytes arrive, and between sides of the same
// capabilities every byte goes through unchanged.
func FuzzResponse(f *testing.F) {
	for _, file := range []string{"mariadb.txt", "mysql.txt"} {
		for _, set := range readCaptures(f, file) {
			for i, c := range set.captures {
				f.Add(c.bytes(), byte(set.kind), byte(i), byte(3-i), uint16(5))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, kind, server, client byte, chunk uint16) {
		run := func(chunk int) (*Response, []byte, []byte, error) {
			r := new(Response)
			caps := [2]Capability{allCaps[server%4], allCaps[client%4]}
			for i, b := range [2]byte{server, client} {
				caps[i] |= Capability(b>>2) << 32 & (extendedCaps)
			}
			r.Begin(ResponseKind(kind%7), caps[0], caps[1], Autocommit, new(sessionLog))
			r.Call, r.MySQL = server >= 128, client >= 128
			if client >= 128 {
				r.Definitions, _ = AppendPacket(nil, 0, []byte("\x03def\x00\x00\x00\x01a\x00\x00\x0c\x2d\x00\x00"))
			}
			if kind >= 128 {
				r.View = &TrackView{Variables: "time_zone,AUTOCOMMIT", Schema: kind&64 == 0, GTIDs: kind&32 == 0}
			}
			got, rest, err := relay(r, data, chunk, 1)
			return r, got, rest, err
		}
		r, got, rest, err := run(len(data) + 1)
		r2, got2, rest2, err2 := run(1 + int(chunk))
		if (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("error %v, in pieces %v", err, err2)
		}
		if err != nil && r.Err() == nil {
			t.Fatal(err) // of relay: Step broke its contract
		}
		if !bytes.Equal(got, got2) || !bytes.Equal(rest, rest2) {
			t.Fatalf("client got %x, in pieces %x; left %x and %x", got, got2, rest, rest2)
		}
		if a, b := outcomeOf(r, nil), outcomeOf(r2, nil); a != b {
			t.Fatalf("%s\nin pieces %s", a, b)
		}
		if server%128 == client%128 && kind < 128 && r.Definitions == nil && !bytes.Equal(append(got, rest...), data) {
			t.Fatal("bytes changed between sides of the same capabilities")
		}
		if cap(r.scratch) > 2*len(data)+128 {
			t.Fatalf("scratch of %d bytes", cap(r.scratch))
		}
	})
}
