package proxy

import (
	"bytes"
	"strings"

	"github.com/telamondb/telamon/backend/pool"
)

// Telamon lives by what servers report of session state, so that session_track_*
// on its connections are its own settings. What a client sets there is read from
// the connection, before Telamon's settings are put back, and obeyed in its place.

// tracked are the settings; those that Telamon has no use for are left to the
// servers and become part of the session's profile.
var tracked = [...]struct {
	name    string
	profile bool
}{
	{"session_track_system_variables", false},
	{"session_track_schema", false},
	{"session_track_gtids", false}, // MySQL
	{"session_track_state_change", true},
	{"session_track_transaction_info", true},
}

// learnTracking reads the settings that the statement names. A stored program
// that makes them, and a statement that has failed, change nothing.
func (s *Session) learnTracking(c *pool.Conn) error {
	if s.response.ErrCode != 0 || s.cmd.size == 0 && s.executing == nil {
		return nil // or its text is gone: it has been streamed
	}
	text := bytes.ToLower(s.facts.Stmt)
	for _, setting := range tracked {
		if !bytes.Contains(text, []byte(setting.name)) {
			continue
		}
		value, err := c.QueryValue("SELECT @@" + setting.name)
		if err != nil {
			return err
		}
		switch track := &s.state.Track; {
		case c.PartialReports && setting.name == "session_track_state_change":
			s.state.WantsState = value == "1"
		case setting.profile && pool.Portable(setting.name, value):
			s.state.Profile = s.state.Profile.With(setting.name, value)
		case setting.name == "session_track_system_variables":
			track.Variables = strings.Clone(value)
		case setting.name == "session_track_schema":
			track.Schema = value == "1"
		case setting.name == "session_track_gtids":
			track.GTIDs = value != "OFF"
		}
	}
	return nil
}
