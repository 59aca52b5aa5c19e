package main

import (
	"context"

	"golang.org/x/sys/windows"
)

// machineStopping asks Windows whether it shuts down (SM_SHUTTINGDOWN). It has been
// compiled, and not been run on Windows.
func machineStopping(context.Context) bool {
	const shuttingDown = 0x2000
	r, _, _ := windows.NewLazySystemDLL("user32.dll").NewProc("GetSystemMetrics").Call(shuttingDown)
	return r != 0
}

// running reports whether a process lives.
func running(pid int) bool {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return false
	}
	defer windows.CloseHandle(h)
	var code uint32
	const stillActive = 259
	return windows.GetExitCodeProcess(h, &code) == nil && code == stillActive
}
