package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the CPU time processes have used since they started.
type cpuTime struct {
	total  time.Duration // exact
	user   time.Duration // in clock ticks of 10 ms, as the kernel samples it
	system time.Duration
}

func (c cpuTime) minus(earlier cpuTime) cpuTime {
	return cpuTime{c.total - earlier.total, c.user - earlier.user, c.system - earlier.system}
}

// split divides the exact total in the proportion of the sampled parts.
func (c cpuTime) split() (user, system time.Duration) {
	if c.user+c.system <= 0 {
		return 0, c.total
	}
	user = time.Duration(float64(c.total) * float64(c.user) / float64(c.user+c.system))
	return user, c.total - user
}

// clockTick is the unit of utime and stime: USER_HZ is 100 on every Linux
// architecture Go runs on.
const clockTick = 10 * time.Millisecond

// cpuOf adds up the CPU time of processes, ended threads included.
func cpuOf(pids []int) (cpuTime, error) {
	var sum cpuTime
	for _, pid := range pids {
		// The CPU clock of another process, clock_getcpuclockid(3): nanoseconds
		// where /proc/PID/stat has ticks.
		var ts unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
			return cpuTime{}, fmt.Errorf("CPU clock of process %d: %w", pid, err)
		}
		fields, err := statFields(pid)
		if err != nil {
			return cpuTime{}, err
		}
		utime, err1 := strconv.ParseInt(fields[11], 10, 64)
		stime, err2 := strconv.ParseInt(fields[12], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return cpuTime{}, fmt.Errorf("stat of process %d: %w", pid, err)
		}
		sum.total += time.Duration(ts.Nano())
		sum.user += time.Duration(utime) * clockTick
		sum.system += time.Duration(stime) * clockTick
	}
	return sum, nil
}

// statFields are the fields of /proc/PID/stat after the command's name, from
// the state on, which proc(5) numbers 3.
func statFields(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	_, rest, ok := cutLast(string(text), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return nil, fmt.Errorf("stat of process %d is %q", pid, text)
	}
	return fields, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// family is a process and all its descendants at this moment.
func family(pid int) []int {
	parent := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		fields, err := statFields(id)
		if err != nil {
			continue // ended meanwhile
		}
		if parent[id], err = strconv.Atoi(fields[1]); err != nil {
			continue
		}
	}
	members := []int{pid}
	for i := 0; i < len(members); i++ {
		for id, p := range parent {
			if p == members[i] {
				members = append(members, id)
			}
		}
	}
	return members
}

// rssOf adds up the resident memory of processes in bytes.
func rssOf(pids []int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		_, rest, ok := strings.Cut(string(text), "\nVmRSS:")
		if !ok {
			return 0, fmt.Errorf("status of process %d has no VmRSS", pid)
		}
		kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("status of process %d: %w", pid, err)
		}
		sum += kib << 10
	}
	return sum, nil
}

// descriptorLimit is RLIMIT_NOFILE of this process and those it starts.
func descriptorLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(limit.Cur)
}
