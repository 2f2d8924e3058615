package main

import (
	"fmt"
	"os"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/telamondb/telamon/conf"
)

// logger is the process's log: its level can change and its file be reopened
// while it is in use.
type logger struct {
	*zap.Logger
	level zap.AtomicLevel
	out   *logFile
}

// newLogger opens the log that the configuration describes.
func newLogger(cfg conf.Log) (*logger, error) {
	l := &logger{level: zap.NewAtomicLevel(), out: &logFile{path: cfg.Path}}
	if err := l.out.reopen(); err != nil {
		return nil, err
	}
	l.setLevel(cfg.Level)
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.ISO8601TimeEncoder
	encoding.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewConsoleEncoder(encoding)
	if cfg.Format == "json" {
		encoder = zapcore.NewJSONEncoder(encoding)
	}
	l.Logger = zap.New(zapcore.NewCore(encoder, l.out, l.level))
	return l, nil
}

// setLevel takes a level that conf has checked.
func (l *logger) setLevel(level string) {
	_ = l.level.UnmarshalText([]byte(level))
}

// logFile is a file that can be reopened after it was moved away, or stderr.
type logFile struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// reopen switches to a new file of the same name. If that fails the old one
// stays in use.
func (f *logFile) reopen() error {
	if f.path == "" {
		return nil
	}
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		_ = f.file.Close()
	}
	f.file = file
	return nil
}

// Write implements zapcore.WriteSyncer.
func (f *logFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return os.Stderr.Write(p)
	}
	return f.file.Write(p)
}

// Sync implements zapcore.WriteSyncer.
func (f *logFile) Sync() error { return nil }
