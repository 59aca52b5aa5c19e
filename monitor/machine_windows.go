package monitor

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Functions of kernel32.dll that x/sys/windows does not wrap.
var (
	kernel32       = windows.NewLazySystemDLL("kernel32.dll")
	getSystemTimes = kernel32.NewProc("GetSystemTimes")
	globalMemory   = kernel32.NewProc("GlobalMemoryStatusEx")
	tickCount      = kernel32.NewProc("GetTickCount64")
)

// memoryStatus is MEMORYSTATUSEX.
type memoryStatus struct {
	length, load                                                          uint32
	totalPhys, availPhys, totalPage, availPage, totalVirt, availVirt, ext uint64
}

// readMachine asks the kernel. It was compiled, and not run on a real Windows.
func readMachine() (reading, error) {
	var r reading
	var idle, kernel, user windows.Filetime
	if ok, _, err := getSystemTimes.Call(uintptr(unsafe.Pointer(&idle)), uintptr(unsafe.Pointer(&kernel)), uintptr(unsafe.Pointer(&user))); ok == 0 {
		return r, fmt.Errorf("ask for CPU times: %w", err)
	}
	r.cpuTotal = ticks(kernel) + ticks(user) // kernel time includes idle time
	r.cpuBusy = r.cpuTotal - ticks(idle)
	mem := memoryStatus{length: uint32(unsafe.Sizeof(memoryStatus{}))}
	if ok, _, err := globalMemory.Call(uintptr(unsafe.Pointer(&mem))); ok == 0 {
		return r, fmt.Errorf("ask for memory: %w", err)
	}
	r.memTotal, r.memFree = mem.totalPhys, mem.availPhys
	root, err := windows.UTF16PtrFromString(`C:\`)
	if err != nil {
		return r, err
	}
	if err := windows.GetDiskFreeSpaceEx(root, &r.diskFree, &r.diskTotal, nil); err != nil {
		return r, fmt.Errorf("ask for disk space: %w", err)
	}
	ms, _, _ := tickCount.Call()
	r.uptime = float64(ms) / 1000
	return r, nil
}

func ticks(t windows.Filetime) float64 {
	return float64(uint64(t.HighDateTime)<<32 | uint64(t.LowDateTime))
}
