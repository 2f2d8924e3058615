package localserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// keptUnused is how long a template is kept that nobody uses: until then another
// version of this program may copy it.
const keptUnused = 7 * 24 * time.Hour

// template is a folder with an initialised data folder to copy. Whoever asks for
// it calls release when it has been copied.
//
// Initialising MySQL takes as long as many a test, so unless it is for a plain
// server the template is kept in the user's cache, under a name that stands for
// all it was made from.
func template(ctx context.Context, f Flavour, bin binaries, plain bool) (dir string, release func() error, err error) {
	kept := func() error { return nil }
	cache, err := templateCache()
	if plain || err != nil {
		return newTemplate(ctx, f, bin, "")
	}
	name, err := templateName(f, bin)
	if err != nil {
		return "", nil, err
	}
	dir = filepath.Join(cache, name)
	now := time.Now()
	if os.Chtimes(dir, now, now) == nil {
		return dir, kept, nil
	}
	removeUnused(cache, now.Add(-keptUnused))
	made, remove, err := newTemplate(ctx, f, bin, cache)
	if err != nil {
		return "", nil, err
	}
	if err := os.Rename(made, dir); err != nil {
		return made, remove, nil // another process was first, and nothing is lost
	}
	return dir, kept, nil
}

// newTemplate initialises a folder in the parent folder, "" being os.TempDir.
func newTemplate(ctx context.Context, f Flavour, bin binaries, parent string) (dir string, remove func() error, err error) {
	dir, err = os.MkdirTemp(parent, "telamon-new-")
	if err != nil {
		return "", nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	if err := initialise(ctx, f, bin, dir); err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return dir, remove, nil
}

func templateCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "telamon", "servers")
	return dir, os.MkdirAll(dir, 0o755)
}

// templateName changes with the program, the accounts and the user that the files
// belong to.
func templateName(f Flavour, bin binaries) (string, error) {
	program, err := os.Stat(filepath.Join(bin.root, bin.server))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v %d %v %d %s", bin, program.Size(), program.ModTime(), os.Geteuid(), accountSQL(f)))
	return fmt.Sprintf("%s-%x", f, sum[:8]), nil
}

// removeUnused removes what was not used since a moment, also what a process that
// was killed has begun. It does what it can.
func removeUnused(cache string, since time.Time) {
	entries, _ := os.ReadDir(cache)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().Before(since) {
			_ = os.RemoveAll(filepath.Join(cache, e.Name()))
		}
	}
}
