package admin

import (
	"errors"
	"fmt"

	"github.com/telamondb/telamon/wire"
)

// sqlError is an error as the client gets it. Number and state are Atlas's
// 1105 (ER_UNKNOWN_ERROR) and 07000 unless set: every error of its console had
// them, and scripts look for them.
type sqlError struct {
	number uint16
	state  string
	text   string
}

func (e *sqlError) Error() string { return e.text }

// Atlas's texts, spelling included, because scripts compare them.
var (
	errUnknownCommand  = &sqlError{text: "use 'SELECT * FROM help' to see the supported commands"}
	errNoBackend       = &sqlError{text: "backend id is not exsit"}
	errNoBackendRemove = &sqlError{text: "invalid backend_id"}
	errInvalidSet      = &sqlError{text: "invalid operation"}
	errNotAQuery       = &sqlError{text: "[admin] we only handle text-based queries (COM_QUERY)"}
)

func errorf(format string, args ...any) error {
	return &sqlError{text: fmt.Sprintf(format, args...)}
}

// mysqlError makes an error with MySQL's own number and state, for what is
// not a command of Atlas.
func mysqlError(number uint16, format string, args ...any) error {
	return &sqlError{number, wire.SQLState(number), fmt.Sprintf(format, args...)}
}

// wire returns e as a packet.
func (e *sqlError) wire() *wire.Err {
	if e.number == 0 {
		return &wire.Err{Code: wire.CodeUnknown, State: "07000", Message: e.text}
	}
	return &wire.Err{Code: e.number, State: e.state, Message: e.text}
}

// asWire returns any error in the form the client gets.
func asWire(err error) *wire.Err {
	var e *sqlError
	if errors.As(err, &e) {
		return e.wire()
	}
	return (&sqlError{text: shorten(err.Error(), 500)}).wire()
}
