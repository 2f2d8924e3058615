package localserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// MemoryEnv, set to anything, has servers that are not plain keep their data in
// memory. `make test` sets it. It is not the default, since several runs at a
// time, each within its limits, fill a machine's memory together.
const MemoryEnv = "TELAMON_SERVERS_IN_MEMORY"

// memory is where Linux keeps a file system in memory (shm_overview(7)). A server
// there does not wait for a disk: a TRUNCATE, most of what tests wait for, takes
// 4 ms and not 31 (MariaDB 10.11), or 18 and not 105 (MySQL 9.7).
const memory = "/dev/shm"

// What must be free for a folder there: on the file system and of the machine's
// memory. At the end of the integration suite the clusters of both flavours hold
// 10 GiB, most of it binary logs, and the servers themselves need memory too.
const (
	roomOnFileSystem = 8 << 30
	roomInMemory     = 14 << 30
)

// makeDir makes the folder of a server or a cluster, in memory if MemoryEnv says so.
// Plain ones, and all where TMPDIR names a place, are in os.TempDir.
func makeDir(plain bool) (string, error) {
	name := fmt.Sprintf("telamon-%d-", os.Getpid())
	if plain || os.Getenv(MemoryEnv) == "" || os.Getenv("TMPDIR") != "" || !hasRoom(memory) {
		return os.MkdirTemp("", name)
	}
	removeAbandoned(memory)
	return os.MkdirTemp(memory, name)
}

// hasRoom reports whether dir is in memory and neither its limit nor the machine's
// memory (MemAvailable, proc_meminfo(5)) stands against filling it.
func hasRoom(dir string) bool {
	const tmpfs = 0x01021994 // TMPFS_MAGIC, statfs(2)
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) != nil || fs.Type != tmpfs || fs.Bavail*uint64(fs.Bsize) < roomOnFileSystem {
		return false
	}
	info, err := os.ReadFile("/proc/meminfo")
	return err == nil && available(string(info)) >= roomInMemory
}

// available returns the bytes that meminfo says are available, 0 if it does not.
func available(meminfo string) uint64 {
	for line := range strings.Lines(meminfo) {
		if value, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kib, _ := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// removeAbandoned removes what processes that were killed have left in dir: in
// memory it is worse than on a disk. It does what it can.
func removeAbandoned(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, "telamon-*-*")) // the pattern is right
	for _, l := range left {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(l), "telamon-"), "-")
		pid, err := strconv.Atoi(owner)
		if err == nil && pid > 0 && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.RemoveAll(l)
		}
	}
}
