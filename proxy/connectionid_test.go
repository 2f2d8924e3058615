package proxy

import (
	"strconv"
	"testing"

	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

func TestTheQuestionForTheConnectionID(t *testing.T) {
	const none = "not answered"
	for sql, want := range map[string]string{
		"SELECT CONNECTION_ID()":                         "CONNECTION_ID()",
		"select connection_id( ) ;":                      "connection_id( )",
		"/* by */ Select/**/Connection_Id() -- x":        "Connection_Id()",
		"SELECT CONNECTION_ID() AS `my id`":              "my id",
		"SELECT CONNECTION_ID() 'id'":                    "id",
		"SELECT CONNECTION_ID() id":                      "id",
		"SELECT CONNECTION_ID() AS connection_id":        "connection_id",
		"SELECT @@pseudo_thread_id":                      "@@pseudo_thread_id",
		"select @@SESSION.pseudo_thread_id as tid":       "tid",
		"SELECT CONNECTION_ID(/* x */)":                  none,
		"SELECT CONNECTION_ID() /*! AS x */":             none,
		"SELECT CONNECTION_ID(), 1":                      none,
		"SELECT CONNECTION_ID() + 1":                     none,
		"SELECT CONNECTION_ID() FROM t":                  none,
		"SELECT CONNECTION_ID() LIMIT":                   none,
		"SELECT CONNECTION_ID() AS 1a":                   none,
		"SELECT CONNECTION_ID() AS `a``b`":               none,
		"SELECT CONNECTION_ID() AS 'a''b'":               none,
		"SELECT CONNECTION_ID() AS 'a\\'":                none,
		"SELECT CONNECTION_ID() AS":                      none,
		"SELECT CONNECTION_ID() x y":                     none,
		"SELECT (CONNECTION_ID())":                       none,
		"SELECT CONNECTION_ID":                           none,
		"SELECT CONNECTION_ID(); SELECT 1":               none,
		"SELECT @@global.pseudo_thread_id":               none,
		"SELECT CONNECTION_ID(), @@pseudo_thread_id":     none,
		"SELECT PS_THREAD_ID(CONNECTION_ID())":           none,
		"SELECT CONNECTION_ID() AS \u00e4":               none,
		"DO CONNECTION_ID()":                             none,
		"SELECT CONNECTION_ID() FOR UPDATE":              none,
		"SELECT /*+ NO_INDEX_MERGE() */ CONNECTION_ID()": "CONNECTION_ID()",
	} {
		t.Run(sql, func(t *testing.T) {
			var s Session
			s.state.Mode.Flavor = lex.FlavorMySQL
			lex.Scan([]byte(sql), s.state.Mode, &s.facts)
			column, ok := s.idQuestion()
			if got := map[bool]string{true: column.Name, false: none}[ok]; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestTheConnectionIDIsThatOfTheGreeting(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	id := strconv.FormatUint(uint64(c.Greeting.ConnectionID), 10)
	if got := c.value("SELECT CONNECTION_ID()"); got != id {
		t.Errorf("got %s, want %s", got, id)
	}
	if n := len(r.primary.received("SELECT CONNECTION_ID()")) + len(r.replicas[0].received("SELECT CONNECTION_ID()")); n != 0 {
		t.Error("a server was asked")
	}
	if got := c.value("SELECT CONNECTION_ID() FROM t"); got == id {
		t.Error("what is more than the question was answered by the proxy")
	}
	c.ok(wire.ComPing, "")
}

func FuzzPhrase(f *testing.F) {
	f.Add("SELECT CONNECTION_ID() AS `x`")
	f.Add("KILL /* */ QUERY -- x\n 5;;")
	f.Fuzz(func(t *testing.T, sql string) {
		var s Session
		lex.Scan([]byte(sql), s.state.Mode, &s.facts)
		s.idQuestion()
		s.killArgument()
	})
}
