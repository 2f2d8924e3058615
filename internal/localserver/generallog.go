package localserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// LogEntry is one line of a server's general query log.
type LogEntry struct {
	Thread   uint64 // the server's connection id
	User     string // account name; "system user" for replication threads, "" if it cannot be told
	Command  string // "Connect", "Query", "Prepare", "Execute", "Init DB", "Quit", …
	Argument string // the statement, with an Execute's parameters filled in
}

// Replicated reports whether a replication thread wrote the entry.
func (e LogEntry) Replicated() bool { return e.User == "system user" }

// GeneralLog reads what a server logs from some moment on.
type GeneralLog struct {
	server *Server
	offset int64
	users  map[uint64]string
}

// GeneralLog turns the general log on and returns a reader that begins now. The
// log is flushed before a client's statement runs: whatever a client got an answer
// to is in it. What replication applies may be logged a moment after it was.
func (s *Server) GeneralLog(ctx context.Context) (*GeneralLog, error) {
	if err := s.Exec(ctx, "SET GLOBAL log_output='FILE'", "SET GLOBAL general_log=1"); err != nil {
		return nil, err
	}
	l := &GeneralLog{server: s, users: map[uint64]string{}}
	return l, l.Reset(ctx)
}

// Stop turns the server's general log off.
func (l *GeneralLog) Stop(ctx context.Context) error {
	return l.server.Exec(ctx, "SET GLOBAL general_log=0")
}

// Reset forgets what was logged until now.
func (l *GeneralLog) Reset(ctx context.Context) error {
	if err := l.learnUsers(ctx); err != nil {
		return err
	}
	info, err := os.Stat(l.path())
	if err != nil {
		return err
	}
	l.offset = info.Size()
	return nil
}

// Entries is all that was logged since the beginning or the last Reset, except by
// root, which is the caller itself.
func (l *GeneralLog) Entries(ctx context.Context) ([]LogEntry, error) {
	file, err := os.Open(l.path())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Seek(l.offset, io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	if err := l.learnUsers(ctx); err != nil {
		return nil, err
	}
	all := parseGeneralLog(text)
	kept := all[:0]
	for _, e := range all {
		if user, ok := connectedUser(e); ok {
			l.users[e.Thread] = user
		}
		e.User = l.users[e.Thread]
		if e.User != "root" {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

func (l *GeneralLog) path() string { return filepath.Join(l.server.dir, generalLogName) }

// learnUsers notes who is connected: connections older than the log have no
// Connect line, replication threads never have one.
func (l *GeneralLog) learnUsers(ctx context.Context) error {
	rows, err := l.server.Query(ctx, "SHOW PROCESSLIST")
	if err != nil {
		return err
	}
	for _, row := range rows {
		id, err := strconv.ParseUint(row["Id"], 10, 64)
		if err != nil {
			return fmt.Errorf("process list: %w", err)
		}
		l.users[id] = row["User"]
	}
	return nil
}

// connectedUser is the account a "user@host on schema using …" line names.
func connectedUser(e LogEntry) (user string, ok bool) {
	if e.Command != "Connect" && e.Command != "Change user" {
		return "", false
	}
	user, rest, found := strings.Cut(e.Argument, "@")
	return user, found && strings.Contains(rest, " on ")
}

// entryStart matches the start of an entry in MariaDB 10.11's format, where the
// time is left out within a second, and in MySQL 9.7's:
//
//	261120  6:52:31⇥     4 Query⇥SELECT 1
//	⇥⇥     4 Query⇥SELECT 1
//	2026-11-20T06:52:36.161624Z⇥    8 Query⇥SELECT 1
var entryStart = regexp.MustCompile(`(?m)^(?:\d{6} [ \d]\d:\d\d:\d\d\t|\t\t|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-][\d:]+)\t) *(\d+) ([A-Z][A-Za-z ]*)\t`)

// parseGeneralLog splits the text of a log file, without its header, into
// entries. Lines that start no entry continue the statement before them. A
// statement with a line in exactly the log's format would be taken for two.
func parseGeneralLog(text []byte) []LogEntry {
	starts := entryStart.FindAllSubmatchIndex(text, -1)
	entries := make([]LogEntry, len(starts))
	for i, m := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		thread, _ := strconv.ParseUint(string(text[m[2]:m[3]]), 10, 64) // digits by the expression
		entries[i] = LogEntry{
			Thread:   thread,
			Command:  string(text[m[4]:m[5]]),
			Argument: string(bytes.TrimSuffix(text[m[1]:end], []byte("\n"))),
		}
	}
	return entries
}
