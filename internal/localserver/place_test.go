package localserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestFoldersAreWhereTMPDIRSays(t *testing.T) {
	want := t.TempDir()
	t.Setenv("TMPDIR", want)
	t.Setenv(MemoryEnv, "1")
	for _, plain := range []bool{false, true} {
		dir, err := makeDir(plain)
		if err != nil || filepath.Dir(dir) != want {
			t.Errorf("plain %v: %s, %v", plain, dir, err)
		}
	}
}

func TestFoldersAreOnDiskUnlessToldAndNotPlain(t *testing.T) {
	t.Setenv("TMPDIR", "")
	for _, c := range []struct {
		plain bool
		env   string
	}{{true, "1"}, {false, ""}} {
		t.Setenv(MemoryEnv, c.env)
		dir, err := makeDir(c.plain)
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if filepath.Dir(dir) != os.TempDir() {
			t.Errorf("%+v: it is %s", c, dir)
		}
	}
}

func TestOnlyAFileSystemInMemoryHasRoom(t *testing.T) {
	for _, dir := range []string{"/proc", "/nonexistent"} {
		if hasRoom(dir) {
			t.Errorf("%s has room", dir)
		}
	}
}

func TestAvailableMemory(t *testing.T) {
	for text, want := range map[string]uint64{
		"MemTotal:       24684588 kB\nMemFree:          100 kB\nMemAvailable:    2 kB\n": 2048,
		"MemTotal: 1 kB\n":      0,
		"MemAvailable: much kB": 0,
		"":                      0,
	} {
		if got := available(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestFoldersOfProcessesThatAreGoneAreRemoved(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, stays := range map[string]bool{
		fmt.Sprintf("telamon-%d-123", gone.Process.Pid): false,
		fmt.Sprintf("telamon-%d-456", os.Getpid()):      true,
		"telamon-proxy-789":                             true,
		"telamon-0-1":                                   true,
		"telamon-" + fmt.Sprint(gone.Process.Pid):       true,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(path, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		removeAbandoned(dir)
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Two servers of one template are two servers; a plain one has none.
func TestATemplateIsMadeOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("initialises a real server")
	}
	bin, err := find(MariaDB)
	if err != nil {
		t.Skip(err)
	}
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	first, release, err := template(t.Context(), MariaDB, bin, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-keptUnused / 2)
	if err := os.Chtimes(first, old, old); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel() // nothing can be initialised any more
	second, release, err := template(cancelled, MariaDB, bin, false)
	if err != nil || second != first {
		t.Fatalf("%s and then %s, %v", first, second, err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(first); err != nil || !info.ModTime().After(old) {
		t.Errorf("it does not look used: %v, %v", info, err)
	}
	if _, _, err := template(cancelled, MariaDB, bin, true); err == nil {
		t.Error("a plain server has got a template that was there")
	}
	if left, _ := filepath.Glob(cache + "/telamon/servers/*"); len(left) != 1 {
		t.Errorf("kept is %v", left)
	}
}

func TestTheNameOfATemplateStandsForWhatItIsMadeFrom(t *testing.T) {
	server := filepath.Join(t.TempDir(), "mysqld")
	name := func(f Flavour, bin binaries, program string) string {
		t.Helper()
		if err := os.WriteFile(server, []byte(program), 0o700); err != nil {
			t.Fatal(err)
		}
		n, err := templateName(f, bin)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	seen := map[string]string{}
	for what, n := range map[string]string{
		"MariaDB":              name(MariaDB, binaries{server: server}, "1"),
		"MySQL":                name(MySQL, binaries{server: server}, "1"),
		"a new version":        name(MariaDB, binaries{server: server}, "10"),
		"with another program": name(MariaDB, binaries{server: server, installDB: "x"}, "1"),
	} {
		if other, ok := seen[n]; ok {
			t.Errorf("%s and %s are both %s", what, other, n)
		}
		seen[n] = what
	}
	if _, err := templateName(MySQL, binaries{server: "/nonexistent"}); err == nil {
		t.Error("there is no program, and no error")
	}
}

func TestWhatWasNotUsedForLongIsRemoved(t *testing.T) {
	cache := t.TempDir()
	now := time.Now()
	for name, used := range map[string]time.Duration{"recent": time.Hour, "old": 8 * 24 * time.Hour} {
		dir := filepath.Join(cache, name)
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, now.Add(-used), now.Add(-used)); err != nil {
			t.Fatal(err)
		}
	}
	removeUnused(cache, now.Add(-keptUnused))
	if left, _ := filepath.Glob(cache + "/*"); len(left) != 1 || filepath.Base(left[0]) != "recent" {
		t.Errorf("left is %v", left)
	}
}
