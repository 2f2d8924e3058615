package localproxy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/telamondb/telamon/internal/child"
	"github.com/telamondb/telamon/internal/localserver"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
	// stepPause is the time between two looks at a proxy that is starting.
	stepPause = 20 * time.Millisecond
)

// Proxy is one running telamon process. Its methods may be called from any
// goroutine.
type Proxy struct {
	process *child.Process
	dir     string // configuration file and log
	console *sql.DB
	client  *sql.DB

	mu  sync.Mutex
	cfg Config // as last written to the file
}

// Start runs `binary serve` with the configuration and waits until a query
// through it is answered. When it ends or does not answer, the error holds the
// end of its log. The caller must Close it.
func Start(ctx context.Context, binary string, cfg Config) (*Proxy, error) {
	dir, err := os.MkdirTemp("", "telamon-proxy-")
	if err != nil {
		return nil, err
	}
	p := &Proxy{dir: dir, cfg: cfg}
	if err := p.start(ctx, binary); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Proxy) start(ctx context.Context, binary string) error {
	if err := p.Write(p.cfg); err != nil {
		return err
	}
	log, err := os.Create(p.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	p.client = openDB(p.cfg.Listen, localserver.AppUser, localserver.AppPassword, localserver.AppSchema)
	p.console = openDB(p.cfg.Console, ConsoleUser, ConsolePassword, "")
	p.console.SetMaxIdleConns(1)

	cmd := exec.Command(binary, "serve", "--config", p.ConfigFile())
	cmd.Stdout, cmd.Stderr = log, log
	if p.process, err = child.Start(cmd); err != nil {
		return err
	}
	return p.awaitReady(ctx)
}

func openDB(addr, user, password, schema string) *sql.DB {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "tcp", addr
	cfg.User, cfg.Passwd, cfg.DBName = user, password, schema
	cfg.Logger = &mysql.NopLogger{} // refused attempts while it starts are expected
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		panic(fmt.Sprintf("data source %+v: %v", cfg, err)) // no input of this function can be wrong
	}
	return sql.OpenDB(connector)
}

func (p *Proxy) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		var one int
		err := p.client.QueryRowContext(ctx, "SELECT 1").Scan(&one)
		if err == nil {
			return nil
		}
		select {
		case <-p.process.Done():
			return fmt.Errorf("telamon ended while starting (%v); its log ends with:\n%s", p.process.Err(), p.LogTail(20))
		case <-ctx.Done():
			return fmt.Errorf("telamon does not answer queries on %s: %w (last: %v); its log ends with:\n%s",
				p.Addr(), context.Cause(ctx), err, p.LogTail(20))
		case <-time.After(stepPause):
		}
	}
}

// Addr is where applications connect to.
func (p *Proxy) Addr() string { return p.Config().Listen }

// Config is the configuration as last written.
func (p *Proxy) Config() Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cfg
}

// DSN is a go-sql-driver data source name for a login through the proxy.
func (p *Proxy) DSN(user, password, schema string) string {
	return fmt.Sprintf("%s:%s@tcp(%s)/%s", user, password, p.Addr(), schema)
}

// Console runs one command on the console and returns its rows by column name;
// NULL is "".
func (p *Proxy) Console(ctx context.Context, command string) ([]map[string]string, error) {
	rows, err := p.console.QueryContext(ctx, command)
	if err != nil {
		return nil, fmt.Errorf("console: %s: %w", command, err)
	}
	return localserver.ReadRows(rows)
}

// BackendState is the state of one backend as the console shows it, "" if it is
// not in the list.
func (p *Proxy) BackendState(ctx context.Context, address string) (string, error) {
	rows, err := p.Console(ctx, "SELECT * FROM backends")
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		if row["address"] == address {
			return row["state"], nil
		}
	}
	return "", nil
}

// Write replaces the configuration file. The process does not look at it until
// Reload.
func (p *Proxy) Write(cfg Config) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := os.WriteFile(p.ConfigFile(), []byte(cfg.TOML()), 0o600); err != nil {
		return err
	}
	p.cfg = cfg
	return nil
}

// ConfigFile is the path of the configuration file.
func (p *Proxy) ConfigFile() string { return filepath.Join(p.dir, "telamon.toml") }

// Signal sends sig to the process.
func (p *Proxy) Signal(sig syscall.Signal) error { return p.process.Signal(sig) }

// Done is closed when the process has ended.
func (p *Proxy) Done() <-chan struct{} { return p.process.Done() }

// Err says how the process ended; only after Done is closed.
func (p *Proxy) Err() error { return p.process.Err() }

// PID is the id of the process.
func (p *Proxy) PID() int { return p.process.PID() }

// Close stops the process gracefully, kills it if that takes too long (an
// error), and removes its files.
func (p *Proxy) Close() error {
	var errs []error
	for _, db := range []*sql.DB{p.client, p.console} {
		if db != nil {
			_ = db.Close() // fails where the proxy has been quicker, as with idle clients
		}
	}
	if p.process != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		errs = append(errs, p.process.Stop(ctx))
	}
	return errors.Join(append(errs, os.RemoveAll(p.dir))...)
}

func (p *Proxy) logFile() string { return filepath.Join(p.dir, "telamon.log") }

// LogSize is the length of the log; LogSince(LogSize()) is empty.
func (p *Proxy) LogSize() int64 {
	info, err := os.Stat(p.logFile())
	if err != nil {
		return 0
	}
	return info.Size()
}

// LogSince is what the process has written to its log from offset on.
func (p *Proxy) LogSince(offset int64) (string, error) {
	file, err := os.Open(p.logFile())
	if err != nil {
		return "", err
	}
	defer file.Close()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(file)
	return string(text), err
}

// LogTail is the last lines of the log, or why it cannot be read.
func (p *Proxy) LogTail(lines int) string {
	text, err := p.LogSince(0)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// RSS is the resident memory of the process in bytes.
func (p *Proxy) RSS() (int64, error) { return p.memory("VmRSS:") }

// PeakRSS is the highest RSS since the start or the last ResetPeakRSS.
func (p *Proxy) PeakRSS() (int64, error) { return p.memory("VmHWM:") }

// ResetPeakRSS makes PeakRSS begin anew (proc_pid_clear_refs(5)).
func (p *Proxy) ResetPeakRSS() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0)
}

// memory is a line of /proc/PID/status in bytes.
func (p *Proxy) memory(field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in the status of process %d", field, p.PID())
}

// CPU is the processor time the process has used, user and system together.
func (p *Proxy) CPU() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0, err
	}
	// The second field is the command in parentheses; utime and stime are the
	// 14th and 15th, in ticks of 1/100 s (proc_pid_stat(5); USER_HZ is fixed).
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat of process %d: %q", p.PID(), stat)
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100), nil
}
