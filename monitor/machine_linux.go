package monitor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// readMachine reads /proc and the root file system.
func readMachine() (reading, error) {
	var r reading
	for _, source := range []struct {
		path string
		read func(io.Reader, *reading) error
	}{
		{"/proc/stat", readCPU}, {"/proc/meminfo", readMemory}, {"/proc/loadavg", readLoad}, {"/proc/uptime", readUptime},
	} {
		f, err := os.Open(source.path)
		if err != nil {
			return r, err
		}
		err = source.read(io.LimitReader(f, 1<<20), &r)
		f.Close()
		if err != nil {
			return r, fmt.Errorf("read %s: %w", source.path, err)
		}
	}
	var fs unix.Statfs_t
	if err := unix.Statfs("/", &fs); err != nil {
		return r, fmt.Errorf("ask the root file system: %w", err)
	}
	r.diskTotal, r.diskFree = fs.Blocks*uint64(fs.Bsize), fs.Bavail*uint64(fs.Bsize)
	return r, nil
}

var errForm = errors.New("not of the expected form")

// readCPU reads the first line of /proc/stat: cpu user nice system idle iowait irq
// softirq steal guest guest_nice, in ticks. Guest time is in user time already.
func readCPU(f io.Reader, r *reading) error {
	line, err := bufio.NewReader(f).ReadString('\n')
	col := strings.Fields(line)
	if err != nil || len(col) < 5 || col[0] != "cpu" {
		return errForm
	}
	for i, c := range col[1:min(len(col), 9)] {
		v, err := strconv.ParseFloat(c, 64)
		if err != nil {
			return errForm
		}
		r.cpuTotal += v
		if i != 3 && i != 4 { // idle, waiting for a disk
			r.cpuBusy += v
		}
	}
	return nil
}

func readMemory(f io.Reader, r *reading) error {
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		col := strings.Fields(lines.Text())
		if len(col) < 2 {
			continue
		}
		kib, err := strconv.ParseUint(col[1], 10, 54)
		if err != nil {
			continue
		}
		switch col[0] {
		case "MemTotal:":
			r.memTotal = kib << 10
		case "MemAvailable:":
			r.memFree = kib << 10
		}
	}
	if r.memTotal == 0 {
		return errForm
	}
	return lines.Err()
}

func readLoad(f io.Reader, r *reading) error { return readFirst(f, &r.load1) }

func readUptime(f io.Reader, r *reading) error { return readFirst(f, &r.uptime) }

func readFirst(f io.Reader, into *float64) error {
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(b), " ")
	if *into, err = strconv.ParseFloat(first, 64); err != nil {
		return errForm
	}
	return nil
}
