package session

import (
	"strings"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// State is what the client believes its connection to be. It is owned by the
// session's goroutine.
type State struct {
	// User is the account the client is logged in as.
	User string
	// Login and Profile say what server connections of the session look like.
	Login   pool.Login
	Profile *pool.Profile
	// Status is the status of the last OK or EOF packet.
	Status wire.Status
	// Pins are the reasons to keep one server connection for this session.
	Pins router.PinSet
	// TransactionOn is where the open transaction runs.
	TransactionOn router.Target
	// Listener is the kind of port the client came in by.
	Listener router.Listener
	// Temp are the temporary tables behind PinTemporaryTables.
	Temp TempTables
	// Locks, Prepared and Handlers are what is behind PinUserLocks,
	// PinSQLPrepared and PinHandler.
	Locks              Locks
	Prepared, Handlers Named
	// Mode is how the client's statements have to be read at present.
	Mode lex.Mode

	// baseMode is the sql_mode of a fresh connection.
	baseMode string
	// Unread says that collation_connection changed to a value that was not
	// reported; it has to be before another connection can be given the
	// session's state.
	Unread bool
	// Track is what the client wants to be told of what the server reports.
	Track wire.TrackView
	// WantsState says that the client wants to be told that its state has changed,
	// of a server that is asked for that anyway; see PartialReports.
	WantsState bool
	// collationSeen: it was reported in the block that is being read.
	collationSeen bool
	// Retrack says that the client has changed what the server reports.
	Retrack bool
	// transient: the statement's settings end with it (SET STATEMENT ... FOR),
	// but MariaDB reports them as if they stayed (measured, 10.11).
	transient bool
	// reported counts the variables the server has reported for the statement.
	reported int
	// unconfirmed says that PinOpaque is there for what was not reported, and
	// for nothing else.
	unconfirmed bool
	// asked says that what is missing has been named by Unconfirmed.
	asked bool
	// schemaSeen says that the server has reported the schema.
	schemaSeen bool
	// partial is about servers that report only some variables.
	partial partial
	// unsettled says that a transaction may be open although Status does not say
	// so: without autocommit a statement that fails may have begun one, whose
	// locks stay, and an ERR has no status.
	unsettled bool
}

// Start sets the state of a fresh login with the given collation and schema.
// baseMode is the sql_mode that servers start a connection with.
func (s *State) Start(login pool.Login, collation byte, schema, baseMode string, flavor lex.Flavor) {
	*s = State{
		User: login.User, Login: login, Listener: s.Listener,
		Profile: &pool.Profile{Schema: schema, Collation: collation},
		Status:  wire.Autocommit, Track: wire.DefaultTrackView(), baseMode: baseMode,
	}
	s.Mode.Flavor = flavor
	s.setMode()
}

// Reset is COM_RESET_CONNECTION: everything as after the login, but for the
// schema, which stays (measured on MariaDB 10.11 and MySQL 9.7), and what
// wire.ResetCollation says.
func (s *State) Reset() {
	collation := wire.ResetCollation(s.Profile.Collation, s.Mode.Flavor != lex.FlavorMySQL)
	s.Start(s.Login, collation, s.Profile.Schema, s.baseMode, s.Mode.Flavor)
}

// SetBaseMode corrects the sql_mode that servers start a connection with.
func (s *State) SetBaseMode(mode string) {
	s.baseMode = mode
	s.setMode()
}

// setMode derives Mode from the profile.
func (s *State) setMode() {
	mode := lex.ParseSQLMode(s.baseMode)
	if s.Login.Flags.Has(wire.IgnoreSpace) {
		mode |= lex.IgnoreSpace
	}
	if m, ok := s.Profile.Value("sql_mode"); ok {
		mode = lex.ParseSQLMode(m) // what the login asked for is overwritten
	}
	s.Mode = lex.Mode{Flavor: s.Mode.Flavor, Charset: lex.CharsetByName(s.clientCharset()), SQLMode: mode}
}

// View is what the router needs to know.
func (s *State) View() router.SessionView {
	return router.SessionView{
		InTransaction:       s.Status.Has(wire.InTrans),
		TransactionReadOnly: s.Status.Has(wire.InTransReadOnly),
		Autocommit:          s.Status.Has(wire.Autocommit),
		TransactionOn:       s.TransactionOn,
		LastWasPrimary:      true,
		Listener:            s.Listener,
		Pins:                s.Pins,
		User:                s.User,
	}
}

// ViewOf is View for a statement: temporary tables do not concern one that
// does not mention them.
func (s *State) ViewOf(f *lex.Facts) router.SessionView {
	v := s.View()
	if v.Pins.Has(router.PinTemporaryTables) && !s.Temp.Mentioned(f.Stmt) {
		v.Pins &^= router.PinTemporaryTables
	}
	return v
}

// InTransaction reports whether the session's statements belong together: a
// transaction is open, or would be opened by the next statement.
func (s *State) InTransaction() bool {
	return s.Status.Has(wire.InTrans) || !s.Status.Has(wire.Autocommit)
}

// loosePins do not keep the connection by themselves: what LAST_INSERT_ID()
// returns can be read from it and set on another one, and FOUND_ROWS() is only
// of interest right after its SELECT.
const loosePins = router.PinLastInsertID | router.PinFoundRows

// Releasable reports whether the session holds nothing that only its present
// server connection has.
func (s *State) Releasable() bool {
	return s.Pins&^loosePins == 0 && !s.Status.Has(wire.InTrans) && !s.unsettled && s.autocommitKnown() && !s.Unread
}

// autocommitChanged takes autocommit into the profile once it has been off: no
// other session differs from a fresh one for its sake.
func (s *State) autocommitChanged(value string) {
	if _, set := s.Profile.Value("autocommit"); set || value != "ON" {
		s.Profile = s.Profile.With("autocommit", value)
	}
}

// autocommitKnown reports whether the profile says what the status does. It does
// not if the server has not reported a change.
func (s *State) autocommitKnown() bool {
	value, _ := s.Profile.Value("autocommit")
	return s.Status.Has(wire.Autocommit) == (value != "OFF")
}

// SessionChanges takes over what a server reports to have changed. It is
// called during a response, as wire.SessionObserver.
func (s *State) SessionChanges(block []byte) {
	s.collationSeen = false
	for c := wire.NewChanges(block); c.Next(); {
		switch ch := c.Change(); ch.Type {
		case wire.ChangeSchema:
			s.schemaChanged(ch.Value)
		case wire.ChangeSystemVariable:
			if string(ch.Name) != "last_gtid" { // MariaDB reports it with every write: no strings for that
				s.variableChanged(string(ch.Name), string(ch.Value))
			}
		case wire.ChangeState:
			s.partial.changed = true
		}
	}
}

func (s *State) schemaChanged(name []byte) {
	s.schemaSeen = true
	for _, b := range name {
		if b >= 0x80 {
			// The name comes in the server's character set, not the client's.
			s.Pins |= router.PinOpaque
		}
	}
	s.Profile = s.Profile.WithSchema(string(name))
}

func (s *State) variableChanged(name, value string) {
	s.partial.heard(name)
	if strings.HasPrefix(name, "session_track_") {
		s.Retrack = true
		s.reported++
		return
	}
	if pool.Volatile(name) {
		if name == "autocommit" {
			s.reported++
			s.autocommitChanged(value)
		}
		return
	}
	s.reported++
	if s.transient {
		return
	}
	if name == "last_insert_id" || name == "identity" {
		s.Pins |= router.PinLastInsertID
		return
	}
	if !pool.Portable(name, value) {
		s.Pins |= router.PinOpaque
		return
	}
	s.Profile = s.Profile.With(name, value)
	switch name {
	case "character_set_connection":
		s.Unread = !s.collationSeen
	case CollationVariable:
		s.Unread, s.collationSeen = false, true
	}
	s.setMode()
}

// Sent notes that a statement is being sent: from here on it may have had an
// effect, whatever becomes of it. facts are nil for a command that is no
// statement.
func (s *State) Sent(facts *lex.Facts, d *router.Decision) {
	pin := d.Pin
	if pin.Has(router.PinOpaque) && facts != nil && s.Prepared.plainUse(facts) {
		pin &^= router.PinOpaque
	}
	s.Pins |= pin
	s.reported, s.unconfirmed, s.asked, s.schemaSeen = 0, false, false, false
	s.partial.begin()
	s.transient = facts != nil && facts.Flags.Has(lex.FlagSetStatement)
	if s.transient && facts.Statements > 1 {
		s.Pins |= router.PinOpaque // which of the settings stay is not told
	}
	if facts != nil && d.Pin.Has(router.PinTemporaryTables) {
		s.Temp.Sent(facts, s.Profile.Schema)
	}
}

// lasting are the flags that describe the session. The others describe one
// answer and must not appear in another: after MoreResultsExist a client waits.
const lasting = wire.InTrans | wire.Autocommit | wire.NoBackslashEscapes | wire.InTransReadOnly

// Outcome is how a statement ended.
type Outcome struct {
	Target       router.Target // where it ran: Primary or Replica
	Status       wire.Status
	StatusSeen   bool
	ErrCode      uint16
	LastInsertID uint64
	Answer       Answer // of a statement that mentions user locks
}

// Finished takes the end of a statement into account. facts may be nil for a
// command that is no statement.
func (s *State) Finished(facts *lex.Facts, d *router.Decision, out *Outcome) {
	wasInTransaction := s.Status.Has(wire.InTrans)
	if out.StatusSeen {
		s.Status = out.Status & lasting
	}
	// After an ERR the status is unknown: what it was stays, so that an open
	// transaction keeps its connection until an OK says that it is over, and one
	// that may have been begun does so, too.
	switch {
	case out.ErrCode != 0:
		s.unsettled = s.unsettled || !s.Status.Has(wire.Autocommit)
	case out.StatusSeen:
		s.unsettled = false
	}
	switch in := s.Status.Has(wire.InTrans); {
	case !in:
		s.TransactionOn = router.Primary
	case !wasInTransaction:
		s.TransactionOn = out.Target
	}
	if out.LastInsertID != 0 {
		s.Pins |= router.PinLastInsertID
	}
	if out.ErrCode == 0 {
		s.Pins &^= d.Release
	}
	s.missed(facts)
	if facts == nil {
		return
	}
	if out.ErrCode == 0 && s.Pins.Has(router.PinTemporaryTables) {
		s.Temp.Succeeded(facts, s.Profile.Schema)
		if !s.Temp.Any() {
			s.Pins &^= router.PinTemporaryTables
		}
	}
	s.finishedHeld(facts, out)
	if facts.Flags.Has(lex.FlagPlainAssign) {
		s.finishedAssigning(facts, out.ErrCode)
	}
	if facts.Flags.Has(lex.FlagSetTrackVars) {
		s.Retrack = true // the servers do not report that in every case
	}
	if out.ErrCode == 0 && s.incomplete(facts) {
		// A setting was made that the server did not report: MariaDB 10.11
		// is silent about SET @@x without a scope, MySQL about variables it
		// was not asked to report.
		s.unconfirmed = !s.Pins.Has(router.PinOpaque)
		s.Pins |= router.PinOpaque
	}
}
