//go:build integration

package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
	"github.com/telamondb/telamon/wire/compress"
	"github.com/telamondb/telamon/wire/wiretest"
)

// login is how a plain client logs in. The zero value is the application's
// account in its schema, utf8mb4, one statement at a time.
type login struct {
	user      string
	schema    string // "-" is none
	collation byte
	flags     wire.Capability // on top of plainFlags
	plugin    string          // to name in the login, with an empty answer
}

// plainFlags are those of a client that wants nothing in particular.
const plainFlags = wire.LongPassword | wire.LongFlag | wire.Protocol41 | wire.Transactions | wire.SecureConnection |
	wire.MultiResults | wire.PSMultiResults | wire.PluginAuth | wire.PluginAuthLenenc | wire.DeprecateEOF

var passwords = map[string]string{
	localserver.AppUser: localserver.AppPassword, localserver.DBAUser: localserver.DBAPassword,
}

// plainClient sends what it is told, packet by packet: no driver adds statements
// of its own or hides a second answer.
type plainClient struct {
	*wiretest.Peer
	nc    net.Conn
	login login
	ids   map[string]uint32 // prepared statements by the test's name
}

// clientPatience is how long a plain client waits for anything.
const clientPatience = 20 * time.Second

// dialPlain logs in.
func dialPlain(address string, l login) (*plainClient, error) {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return loginPlain(nc, l)
}

// loginPlain logs in on a connection, which it closes if that fails.
func loginPlain(nc net.Conn, l login) (*plainClient, error) {
	if l.user == "" {
		l.user = localserver.AppUser
	}
	schema := l.schema
	switch schema {
	case "":
		schema = localserver.AppSchema
	case "-":
		schema = ""
	}
	if err := nc.SetDeadline(time.Now().Add(clientPatience)); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	p, err := wiretest.Login(nc, wiretest.Credentials{
		User: l.user, Password: passwords[l.user], Database: schema,
		Capabilities: plainFlags | l.flags, Collation: l.collation, Plugin: l.plugin,
		ZstdLevel: compress.DefaultZstdLevel, Frames: clientFrames,
	})
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return &plainClient{Peer: p, nc: nc, login: l, ids: map[string]uint32{}}, nil
}

// clientFrames compresses where that has been agreed on.
func clientFrames(below net.Conn, agreed wire.Capability) wire.Frames {
	algorithm, _ := compress.Negotiated(agreed)
	return compress.Client(below, algorithm)
}

// plain is dialPlain for a test, which closes the client at its end.
func plain(t testing.TB, address string, l login) *plainClient {
	t.Helper()
	c, err := dialPlain(address, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.nc.Close() })
	return c
}

// patience starts the time a client is willing to wait for the next answer.
func (c *plainClient) patience() error { return c.nc.SetDeadline(time.Now().Add(clientPatience)) }

// ask runs a statement and renders its results: columns separated by ",", rows
// by "|", results by ";". A result without rows is "ok" or, if it has columns,
// "none".
func (c *plainClient) ask(sql string) (string, error) {
	if err := c.patience(); err != nil {
		return "", err
	}
	results, err := c.Query(sql)
	return render(results), err
}

func render(results []wiretest.Result) string {
	all := make([]string, len(results))
	for i, r := range results {
		rows := make([]string, len(r.Rows))
		for j, row := range r.Rows {
			values := make([]string, len(row))
			for k, v := range row {
				if values[k] = v.Text; v.Null {
					values[k] = "NULL"
				}
			}
			rows[j] = strings.Join(values, ",")
		}
		switch {
		case r.Columns == nil:
			all[i] = "ok"
		case len(rows) == 0:
			all[i] = "none"
		default:
			all[i] = strings.Join(rows, "|")
		}
	}
	return strings.Join(all, ";")
}

// command sends a command that is answered by one OK, EOF or ERR packet.
func (c *plainClient) command(cmd wire.Command, arg string) error {
	if err := c.patience(); err != nil {
		return err
	}
	if err := c.Command(cmd, arg); err != nil {
		return err
	}
	return c.acknowledged()
}

// acknowledged reads an OK or EOF packet.
func (c *plainClient) acknowledged() error {
	b, err := c.Read()
	switch {
	case err != nil:
		return err
	case wire.IsErr(b):
		e, err := wire.ParseErr(b)
		return errors.Join(err, e)
	case len(b) == 0 || b[0] != 0x00 && b[0] != 0xfe:
		return fmt.Errorf("neither OK nor ERR: %x", b)
	}
	return nil
}

// changeUser logs in anew on the same connection.
func (c *plainClient) changeUser(user, schema string) error {
	if err := c.patience(); err != nil {
		return err
	}
	x := auth.ClientExchange{Password: passwords[user]}
	plugin, answer := x.Start(c.Greeting.AuthPlugin, c.Greeting.Salt[:])
	u := wire.ChangeUser{User: user, AuthResponse: answer, Database: schema, Collation: uint16(wire.CollationUTF8MB4), AuthPlugin: plugin}
	c.StartCommand()
	if err := c.Send(u.Append(nil, c.Capabilities)); err != nil {
		return err
	}
	for {
		b, err := c.Read()
		if err != nil {
			return err
		}
		if wire.IsErr(b) {
			e, err := wire.ParseErr(b)
			return errors.Join(err, e)
		}
		action, reply, err := x.Next(b)
		if err != nil {
			return err
		}
		switch action {
		case auth.Done:
			return nil
		case auth.Send:
			if err := c.Send(reply); err != nil {
				return err
			}
		}
	}
}

// setMulti is COM_SET_OPTION.
func (c *plainClient) setMulti(on bool) error {
	if on {
		return c.command(wire.ComSetOption, "\x00\x00")
	}
	return c.command(wire.ComSetOption, "\x01\x00")
}

// prepare makes a prepared statement without parameters.
func (c *plainClient) prepare(name, sql string) error {
	if err := c.patience(); err != nil {
		return err
	}
	if err := c.Command(wire.ComStmtPrepare, sql); err != nil {
		return err
	}
	b, err := c.Read()
	if err != nil {
		return err
	}
	if wire.IsErr(b) {
		e, err := wire.ParseErr(b)
		return errors.Join(err, e)
	}
	var ok wire.StmtPrepareOK
	if err := ok.Parse(b); err != nil {
		return err
	}
	for range int(ok.Params) + int(ok.Columns) {
		if _, err := c.Read(); err != nil {
			return err
		}
	}
	c.ids[name] = ok.StatementID
	return nil
}

// cursorReadOnly is CURSOR_TYPE_READ_ONLY of COM_STMT_EXECUTE.
const cursorReadOnly = 1

// execute runs a prepared statement. Its rows are rendered as the text of their
// single column, which must be a string or NULL.
func (c *plainClient) execute(name string, flags byte) (string, error) {
	if err := c.patience(); err != nil {
		return "", err
	}
	arg := binary.LittleEndian.AppendUint32(nil, c.ids[name])
	arg = append(arg, flags, 1, 0, 0, 0)
	if err := c.Command(wire.ComStmtExecute, string(arg)); err != nil {
		return "", err
	}
	b, err := c.Read()
	switch {
	case err != nil:
		return "", err
	case wire.IsErr(b):
		e, err := wire.ParseErr(b)
		return "", errors.Join(err, e)
	case b[0] == 0:
		return "ok", nil
	case b[0] != 1:
		return "", fmt.Errorf("%d columns, want 1", b[0])
	}
	if _, err := c.Read(); err != nil {
		return "", err
	}
	rows, status, err := c.binaryRows()
	if err != nil || flags == 0 || !status.Has(wire.CursorExists) {
		return rows, err
	}
	fetch := binary.LittleEndian.AppendUint32(nil, c.ids[name])
	fetch = binary.LittleEndian.AppendUint32(fetch, 100)
	if err := c.Command(wire.ComStmtFetch, string(fetch)); err != nil {
		return "", err
	}
	rows, _, err = c.binaryRows()
	return rows, err
}

// binaryRows reads rows of one string column up to the end of the result.
func (c *plainClient) binaryRows() (string, wire.Status, error) {
	var rows []string
	for {
		b, err := c.Read()
		switch {
		case err != nil:
			return "", 0, err
		case wire.IsErr(b):
			e, err := wire.ParseErr(b)
			return "", 0, errors.Join(err, e)
		case b[0] == 0xfe:
			ok, err := wire.ParseOK(b, c.Capabilities)
			return strings.Join(rows, "|"), ok.Status, err
		case b[1]&4 != 0: // the first column's bit of the NULL bitmap
			rows = append(rows, "NULL")
		default:
			rows = append(rows, string(b[3:])) // behind the length, one byte for what tests use
		}
	}
}

// quit leaves as a client should; vanish as one that crashes.
func (c *plainClient) quit() error {
	return errors.Join(c.Command(wire.ComQuit, ""), c.nc.Close())
}

func (c *plainClient) vanish() error {
	// Unread or unsent data is thrown away, and the peer gets a RST.
	if err := c.nc.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	return c.nc.Close()
}

// errno is the server's or proxy's error number in err, 0 if there is none.
func errno(err error) uint16 {
	var e *wire.Err
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}
