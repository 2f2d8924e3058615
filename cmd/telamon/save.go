package main

import (
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/conf"
)

// save writes the backends as they are now, with their weights, into the
// configuration file, and leaves everything else in it alone. On an error the
// file is untouched.
func (d *daemon) save() error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	path, err := filepath.EvalSymlinks(d.path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	next, err := conf.SaveBackends(text, savedBackends(d.store.Load(), &d.config.Load().Backends[0].TLS), os.LookupEnv)
	if err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	if err := replaceFile(path, next); err != nil {
		return err
	}
	// What is in force now is what the file says of backends.
	if parsed, problems := conf.Parse(path, next, os.LookupEnv); !conf.Fatal(problems) {
		inForce := *d.config.Load()
		inForce.Backends = parsed.Backends
		d.config.Store(&inForce)
	}
	d.log.Info("backends saved", zap.String("file", path))
	return nil
}

// savedBackends describes the servers as they are; tls is what those have that
// were added on the console, see backendEncryption.
func savedBackends(t *backend.Topology, tls *conf.TLS) []conf.SavedBackend {
	list := make([]conf.SavedBackend, len(t.States))
	for i := range t.States {
		st := &t.States[i]
		list[i] = conf.SavedBackend{Address: st.String(), Role: st.Spec.Role.String(), Weight: st.Spec.Weight, TLS: *tls}
	}
	return list
}

// replaceFile gives a file new content, all of it or none, with the mode it has.
func replaceFile(path string, content []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone by then if all went well
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(info.Mode())
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
