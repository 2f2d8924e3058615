package admin

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// serverVersion is Atlas's greeting, which scripts recognise the console by.
// Clients that look at the number take the console for an old server and do
// without what old servers lack.
const serverVersion = "5.0.99-agent-admin"

// Limits of a connection.
const (
	loginTimeout = 10 * time.Second
	idleTimeout  = 8 * time.Hour
	writeTimeout = time.Minute
	maxLogin     = 64 << 10 // bytes of a packet before the login is done
	maxStatement = 1 << 20  // bytes of a command packet afterwards
	flushAt      = 64 << 10 // queued bytes of a long response
)

// defaultPlugin is the one in the greeting: clients of every age have it except
// MySQL's from 9.0 on, which name caching_sha2_password and get that.
const defaultPlugin = auth.NativePassword

// capabilities of the console. Without DeprecateEOF the old form of result
// sets is used, which every client reads.
const capabilities = wire.LongPassword | wire.FoundRows | wire.LongFlag | wire.ConnectWithDB |
	wire.ODBC | wire.IgnoreSpace | wire.Protocol41 | wire.Interactive | wire.IgnoreSigpipe |
	wire.Transactions | wire.SecureConnection | wire.MultiStatements | wire.MultiResults |
	wire.PluginAuth | wire.ConnectAttrs | wire.PluginAuthLenenc

// session is one connection to the console, owned by its goroutine.
type session struct {
	console *Console
	ctx     context.Context
	conn    *wire.Conn
	id      uint32
	host    string // for messages and the throttle
	from    string // address and port
	user    string // once logged in
	caps    wire.Capability
	// certificate is what the client was shown, nil without TLS; proof is what
	// it is told about it when it is let in.
	certificate, proof []byte
}

// limit bounds what is read and written from here on. A connection that takes
// no deadline is closed, which the next call finds out.
func (s *session) limit(d time.Duration) { _ = s.conn.SetDeadline(time.Now().Add(d)) }

func (s *session) deps() *Deps { return &s.console.deps }

// handshake greets and authenticates. When it returns false the connection
// has been answered as far as possible and is to be closed.
func (s *session) handshake() bool {
	s.limit(loginTimeout)
	salt, encryption, offered := auth.NewSalt(), s.console.encryption.Load(), capabilities
	if encryption.Config != nil {
		offered |= wire.SSL
	}
	greeting := wire.HandshakeV10{
		ServerVersion: serverVersion,
		ConnectionID:  s.id,
		Salt:          salt,
		Capabilities:  offered,
		Collation:     wire.CollationUTF8General,
		Status:        wire.Autocommit,
		AuthPlugin:    defaultPlugin,
	}
	if s.write(greeting.Append(nil)) != nil {
		return false
	}
	packet, err := s.readLogin(encryption)
	if err != nil {
		return false // a port check, not worth a line
	}
	var login wire.HandshakeResponse
	if err := login.Parse(packet); err != nil {
		s.lastErr(wire.NewErr(wire.CodeHandshake, "Bad handshake"))
		return false
	}
	if encryption.Required && !s.secure() {
		s.lastErr(wire.NewErr(wire.CodeSecureTransport, "Connections using insecure transport are prohibited while --require_secure_transport=ON."))
		return false
	}
	s.user, s.caps = login.User, login.Capabilities&capabilities
	return s.authenticate(&login, salt) && s.welcome() == nil
}

// authenticate lets the client prove that it knows the password. A refused
// login has been answered and counted.
func (s *session) authenticate(login *wire.HandshakeResponse, salt [auth.SaltSize]byte) bool {
	x := auth.ServerExchange{
		Account:       s.console.account.Load().find(login.User),
		Salt:          salt,
		DefaultPlugin: defaultPlugin,
		CanSwitch:     s.caps.Has(wire.PluginAuth),
		Secure:        s.secure(),
	}
	step := x.Start(login.AuthPlugin, login.AuthResponse)
	for step.Verdict == auth.Continue {
		if s.write(step.Packet) != nil {
			return false
		}
		packet, err := s.conn.ReadPacket(maxLogin)
		if err != nil {
			return false
		}
		step = x.Next(packet)
	}
	if step.Verdict != auth.Accept {
		s.deny(login.User, x.PasswordUsed())
		return false
	}
	if step.Packet != nil {
		s.conn.WritePacket(step.Packet)
	}
	s.proof = x.Proof(s.certificate)
	return true
}

// deny answers a refused login; the text is the same whatever was wrong.
func (s *session) deny(user string, passwordUsed bool) {
	c := s.console
	c.stats.loginFailures.Add(1)
	blocks := c.throttle.failed(s.host)
	c.log.Warn("console login refused", zap.String("user", shorten(user, 80)), zap.String("from", s.from))
	if blocks {
		c.log.Warn("console blocks an address: too many failed logins",
			zap.String("address", s.host), zap.Duration("for", blockTime))
	}
	used := "NO"
	if passwordUsed {
		used = "YES"
	}
	s.lastErr(wire.NewErr(wire.CodeAccessDenied, "Access denied for user '%s'@'%s' (using password: %s)",
		shorten(user, 80), s.host, used))
}

// run reads commands until the client leaves.
func (s *session) run() {
	for {
		s.conn.Idle()
		s.conn.Seq = 0
		s.limit(idleTimeout)
		packet, err := s.conn.ReadPacket(maxStatement)
		if err != nil {
			s.answerReadError(err)
			return
		}
		s.limit(writeTimeout)
		if len(packet) == 0 {
			s.lastErr(wire.NewErr(wire.CodeMalformedPacket, "Malformed communication packet"))
			return
		}
		if wire.Command(packet[0]) == wire.ComQuit || s.command(wire.Command(packet[0]), packet[1:]) != nil {
			return
		}
	}
}

// answerReadError tells the client why the connection ends, when it is its fault.
func (s *session) answerReadError(err error) {
	s.conn.Seq = 1
	switch {
	case errors.Is(err, wire.ErrPacketTooLarge):
		s.lastErr(wire.NewErr(wire.CodePacketTooLarge, "Got a packet bigger than 'max_allowed_packet' bytes"))
	case errors.Is(err, wire.ErrSequence):
		s.lastErr(wire.NewErr(wire.CodeNetPacketsOutOfOrder, "Got packets out of order"))
	}
}

// command answers one command. An error means that the connection is broken.
func (s *session) command(c wire.Command, payload []byte) error {
	switch c {
	case wire.ComQuery:
		return s.query(string(payload))
	case wire.ComPing, wire.ComInitDB, wire.ComResetConnection:
		return s.writeOK()
	case wire.ComFieldList, wire.ComSetOption:
		// No columns: clients ask for those of every table of SHOW TABLES.
		return s.write(wire.EOF{Status: wire.Autocommit}.Append(nil))
	case wire.ComStatistics:
		return s.write(fmt.Appendf(nil, "Uptime: %d  Threads: %d  Console commands: %d",
			int(time.Since(s.console.started).Seconds()), s.console.stats.open.Load(), s.console.stats.commands.Load()))
	case wire.ComProcessKill:
		if len(payload) >= 4 {
			return s.query(fmt.Sprintf("KILL %d", binary.LittleEndian.Uint32(payload)))
		}
	case wire.ComStmtClose, wire.ComStmtSendLongData:
		return nil // these have no answer
	}
	return s.writeErr(errNotAQuery.wire())
}

// query answers the statements of one packet in turn, up to the first that fails.
func (s *session) query(src string) error {
	tokens, err := scan(src)
	if err != nil {
		return s.writeErr(asWire(err))
	}
	statements := split(tokens)
	switch {
	case len(statements) == 0:
		return s.writeErr(wire.NewErr(wire.CodeEmptyQuery, "Query was empty"))
	case len(statements) > 1 && !s.caps.Has(wire.MultiResults):
		return s.writeErr(asWire(errorf("several statements in one packet need a client with multiple results")))
	}
	for i, statement := range statements {
		status := wire.Autocommit
		if i < len(statements)-1 {
			status |= wire.MoreResultsExist
		}
		t, err := s.execute(statement)
		if err != nil {
			return s.writeErr(asWire(err))
		}
		s.queueResult(t, status)
		if s.conn.Queued() > flushAt {
			if err := s.conn.Flush(); err != nil {
				return err
			}
		}
	}
	return s.conn.Flush()
}

// execute counts and runs one statement.
func (s *session) execute(tokens []token) (*table, error) {
	s.console.stats.commands.Add(1)
	t, err := s.dispatch(tokens)
	if err != nil {
		s.console.stats.commandErrors.Add(1)
		return nil, err
	}
	return t, nil
}

// dispatch runs a command of the grammar, or answers what clients send on
// their own.
func (s *session) dispatch(tokens []token) (*table, error) {
	found, err := s.console.grammar.parse(tokens)
	r := &request{session: s, cmd: found.cmd, args: found.args}
	if errors.Is(err, errUnknownCommand) || err == nil && r.cmd.flags&yields != 0 {
		if t, known, err := r.clientStatement(tokens); known {
			return t, err
		}
	}
	if err != nil {
		return nil, err
	}
	t, err := r.cmd.run(r)
	if r.cmd.flags&mutates != 0 {
		r.audit(err)
	}
	if err == nil && r.cmd.flags&rows != 0 {
		err = found.filter.apply(t)
	}
	return t, err
}

// audit writes who did what, from where and with which outcome.
func (r *request) audit(err error) {
	outcome := "ok"
	if err != nil {
		outcome = shorten(err.Error(), 512)
	}
	r.console.log.Info("console command",
		zap.String("user", r.user), zap.String("from", r.from),
		zap.String("command", r.masked()), zap.String("backend", r.target), zap.String("outcome", outcome))
}

// masked is the command as it was understood, without passwords.
func (r *request) masked() string {
	words := strings.Fields(r.cmd.pattern)
	n := 0
	for i, w := range words {
		if w[0] != '$' {
			continue
		}
		words[i] = shorten(r.args[n], 256)
		if r.cmd.flags&secret != 0 {
			words[i] = "***"
		}
		n++
	}
	return strings.Join(words, " ")
}

// recover turns a bug into the end of this connection instead of the process.
func (s *session) recover() {
	bug := recover()
	if bug == nil {
		return
	}
	s.console.stats.panics.Add(1)
	s.console.log.Error("console connection ended by a bug", zap.Any("panic", bug), zap.Stack("stack"))
	s.lastErr(wire.NewErr(wire.CodeUnknown, "internal error; see the log of telamon"))
}

// queueResult queues a table, or OK when there is none.
func (s *session) queueResult(t *table, status wire.Status) {
	if t == nil {
		s.conn.WritePacket((&wire.OK{Status: status}).Append(nil, 0, s.caps))
		return
	}
	columns := make([]wire.ColumnDef, len(t.columns))
	for i, c := range t.columns {
		columns[i] = c.definition()
	}
	var out []byte
	out, s.conn.Seq = wire.AppendTextResult(nil, s.conn.Seq, s.caps, status, columns, t.rows)
	s.conn.Queue(out)
}

// definition declares the column with Atlas's types.
func (c column) definition() wire.ColumnDef {
	def := wire.IntColumn(c.name)
	switch c.typ {
	case number:
		def.Type, def.Length = wire.TypeLong, 11
	case text:
		def = wire.TextColumn(c.name)
		def.Type, def.Collation = wire.TypeString, wire.CollationUTF8MB4
	}
	return def
}

func (s *session) write(payload []byte) error {
	s.conn.WritePacket(payload)
	return s.conn.Flush()
}

func (s *session) writeOK() error {
	return s.write((&wire.OK{Status: wire.Autocommit}).Append(nil, 0, s.caps))
}

func (s *session) writeErr(e *wire.Err) error { return s.write(e.Append(nil)) }

// lastErr sends an error to a connection that is closed next, come what may.
func (s *session) lastErr(e *wire.Err) { _ = s.writeErr(e) }
