package monitor

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

// classify tells what an error of a probe means. c is the connection it
// happened on, nil if there was none. Error numbers are those of MySQL's
// messages_to_clients, the same on MariaDB unless said.
func classify(ctx context.Context, err error, c *watchedConn) Failure {
	var server *mysql.MySQLError
	var resolve *resolveError
	var encryption *encryptionError
	switch {
	case errors.As(err, &encryption):
		return Broken
	case errors.As(err, &server):
		return classifyNumber(server.Number)
	case errors.As(err, &resolve):
		return Resolve
	case ctx.Err() != nil, isTimeout(err):
		return Timeout
	case c == nil:
		return classifyDial(err)
	case isTimeout(c.readErr):
		return Timeout
	case !c.received && (c.readErr != nil):
		return Refused // closed or reset before the greeting
	case c.readErr == nil:
		return Protocol // everything arrived, and made no sense
	}
	return Broken
}

// encryptionError is a failure to agree on TLS: the server lives, and nobody
// can use it.
type encryptionError struct{ err error }

func (e *encryptionError) Error() string { return "TLS: " + e.err.Error() }
func (e *encryptionError) Unwrap() error { return e.err }

// encryptionFailure marks errors of opening a connection that are of TLS.
func encryptionFailure(err error) error {
	var (
		verify *tls.CertificateVerificationError
		header tls.RecordHeaderError
		alert  *net.OpError // with "remote error" or "local error" (Go 1.26, crypto/tls)
	)
	switch {
	case errors.Is(err, mysql.ErrNoTLS):
		return &encryptionError{errors.New("the server does not offer it, and backends.tls.mode demands it")}
	case errors.As(err, &verify), errors.As(err, &header), errors.As(err, &alert) && strings.HasSuffix(alert.Op, " error"):
		return &encryptionError{err}
	}
	return err
}

func classifyNumber(number uint16) Failure {
	switch number {
	case 1040, // ER_CON_COUNT_ERROR
		1203, // ER_TOO_MANY_USER_CONNECTIONS
		1226: // ER_USER_LIMIT_REACHED
		return TooMany
	case 1053: // ER_SERVER_SHUTDOWN
		return ShuttingDown
	case 1129: // ER_HOST_IS_BLOCKED
		return Blocked
	case 1227: // ER_SPECIFIC_ACCESS_DENIED_ERROR
		return Privilege
	case 1045, // ER_ACCESS_DENIED_ERROR
		1130, // ER_HOST_NOT_PRIVILEGED
		1142, // ER_TABLEACCESS_DENIED_ERROR
		1251, // ER_NOT_SUPPORTED_AUTH_MODE
		1524, // ER_PLUGIN_IS_NOT_LOADED
		1698, // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
		1820, // ER_MUST_CHANGE_PASSWORD
		1862, // ER_MUST_CHANGE_PASSWORD_LOGIN
		3118, // ER_ACCOUNT_HAS_BEEN_LOCKED
		3159, // ER_SECURE_TRANSPORT_REQUIRED
		3955, // ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK
		4151: // MariaDB's ER_ACCOUNT_HAS_BEEN_LOCKED
		return Auth
	}
	return Broken
}

// classifyDial sorts errors of opening a connection.
func classifyDial(err error) Failure {
	switch {
	case isAny(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL):
		return Local
	case isAny(err, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
		syscall.EHOSTDOWN, fs.ErrNotExist, fs.ErrPermission):
		return Refused
	}
	return Broken
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &ne) && ne.Timeout()
}
