package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the kernel's unit of CPU time in /proc (USER_HZ).
const tick = 10 * time.Millisecond

// cpuOf is the processor time that a process has used, all its threads.
func cpuOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read a process's CPU time: %w", err)
	}
	// The name in parentheses may hold spaces; utime and stime are the 14th and 15th field.
	rest := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(rest) < 13 {
		return 0, fmt.Errorf("read a process's CPU time: %q is too short", b)
	}
	user, err1 := strconv.ParseInt(rest[11], 10, 64)
	system, err2 := strconv.ParseInt(rest[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("read a process's CPU time: %q has no times", b)
	}
	return time.Duration(user+system) * tick, nil
}

// procValue reads a line "name: value" of a file below /proc/PID.
func procValue(pid int, file, name string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, fmt.Errorf("read %s of a process: %w", name, err)
	}
	for _, l := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(l, name+":"); ok {
			return strconv.ParseFloat(strings.Fields(v)[0], 64)
		}
	}
	return 0, fmt.Errorf("read %s of a process: /proc/%d/%s has none", name, pid, file)
}

// rssOf and peakOf are a process's resident memory in KB, now and at its highest.
func rssOf(pid int) (float64, error)  { return procValue(pid, "status", "VmRSS") }
func peakOf(pid int) (float64, error) { return procValue(pid, "status", "VmHWM") }

// diskOf is how many bytes a process has had written to disks.
func diskOf(pid int) (float64, error) { return procValue(pid, "io", "write_bytes") }

// forgetPeak lets a process's peakOf begin anew.
func forgetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset the peak of a process's memory: %w", err)
	}
	return nil
}
