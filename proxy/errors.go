package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/wire"
)

// errEnd ends a session without another word: the client has been told, or is gone.
var errEnd = errors.New("session ends")

// errShutdown is a server that answers a statement by saying that it is shutting
// down.
var errShutdown = errors.New("the server is shutting down")

// lostError says that a server connection broke, and how far things had got.
type lostError struct {
	server *backend.Server
	err    error
	// unsent: not a byte of the command had left.
	unsent bool
}

func (e *lostError) Error() string { return fmt.Sprintf("connection to %s lost: %v", e.server, e.err) }
func (e *lostError) Unwrap() error { return e.err }

// connectError says that no connection to a server was to be had.
type connectError struct {
	server *backend.Server
	err    error
}

func (e *connectError) Error() string { return fmt.Sprintf("no connection to %s: %v", e.server, e.err) }
func (e *connectError) Unwrap() error { return e.err }

// refusedError carries a server's ERR to a command of Telamon's own, sent on
// behalf of the client's. The connection is in order.
type refusedError struct{ error }

func (e *refusedError) Unwrap() error { return e.error }

// Errors of Telamon's own carry numbers of servers. Those of the client library
// for the same situations (2003, 2013) will not do: MariaDB's takes a packet with
// one for malformed and shows nothing of it (measured, Connector/C 3.3). A lost
// server has the SQLSTATE by which drivers know that it is about a connection.
const (
	stateGeneral       = "HY000"
	stateCommunication = "08S01"
)

// clientError turns what kept a statement from being run into what the client
// is told. An error of the server itself is passed on as it is.
func clientError(err error) *wire.Err {
	var fromServer *wire.Err
	if errors.As(err, &fromServer) {
		return fromServer
	}
	var limit *pool.LimitError
	if errors.As(err, &limit) {
		return &wire.Err{Code: wire.CodeConCount, State: "08004", Message: "Telamon: " + limit.Error()}
	}
	var none *noServerError
	if errors.As(err, &none) {
		return &wire.Err{Code: wire.CodeConnectToSource, State: stateCommunication, Message: "Telamon: " + none.Error()}
	}
	var unseen *unseenError
	if errors.As(err, &unseen) {
		return &wire.Err{Code: wire.CodeConnectToSource, State: stateCommunication, Message: "Telamon: " + unseen.Error()}
	}
	var lost *lostError
	if errors.As(err, &lost) {
		return &wire.Err{Code: wire.CodeNetRead, State: stateCommunication, Message: lostMessage(lost)}
	}
	var connect *connectError
	if errors.As(err, &connect) {
		return &wire.Err{Code: wire.CodeConnectToSource, State: stateCommunication, Message: fmt.Sprintf(
			"Telamon: no connection to %s for this statement: %s (SELECT * FROM backends_ext on the console shows what is known about it)",
			connect.server, cause(connect.err))}
	}
	return &wire.Err{Code: wire.CodeConnectToSource, State: stateCommunication, Message: "Telamon: " + cause(err)}
}

func lostMessage(e *lostError) string {
	if e.unsent {
		return fmt.Sprintf("Telamon: lost connection to %s before the statement was sent (%s); it was not executed", e.server, cause(e.err))
	}
	return fmt.Sprintf("Telamon: lost connection to %s during the statement (%s); if it was a write, whether it took effect is unknown", e.server, cause(e.err))
}

// cause words the usual network errors without Go's details.
func cause(err error) string {
	var ne net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed it"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "given up because the server does not answer"
	case errors.As(err, &ne) && ne.Timeout():
		return "timeout"
	}
	return err.Error()
}

// noServerError says that no server can take a statement.
type noServerError struct {
	want  string // "primary" or "replica"
	about string
}

func (e *noServerError) Error() string {
	return fmt.Sprintf("no %s to send this statement to: %s (SELECT * FROM backends_ext on the console shows all)", e.want, e.about)
}

// noServer describes why there is nobody.
func noServer(t *backend.Topology, want string) *noServerError {
	var about []string
	for i := range t.States {
		st := &t.States[i]
		if want == "primary" && st.Spec.Role == backend.RoleRO {
			continue
		}
		reason := st.Reason
		if reason == "" {
			reason = "not chosen"
		}
		about = append(about, fmt.Sprintf("%s is %s: %s", st, st.Health, reason))
	}
	if len(about) == 0 {
		about = []string{"none is configured"}
	}
	return &noServerError{want: want, about: strings.Join(about, "; ")}
}
