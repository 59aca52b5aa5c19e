package yard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/e2e/service"
)

// Machines are the folders of machines below the hypervisors' folders.
func (y *Yard) Machines() ([]string, error) {
	return filepath.Glob(filepath.Join(y.Service.DataFolder(), "machines", "*", "machines", "*"))
}

// Processes are the QEMU processes of this installation, by their arguments.
func (y *Yard) Processes() ([]string, error) {
	found, err := y.processes()
	return slices.Sorted(maps.Values(found)), err
}

// Process is the id of the QEMU process of one machine, by the machine's GUID.
func (y *Yard) Process(machine string) (int, error) {
	found, err := y.processes()
	for pid, arguments := range found {
		if strings.Contains(strings.ToLower(arguments), strings.ToLower(machine)) {
			return pid, nil
		}
	}
	return 0, errors.Join(fmt.Errorf("find the QEMU of machine %s: none runs", machine), err)
}

func (y *Yard) processes() (map[int]string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	found := map[int]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || len(text) == 0 {
			continue // ended meanwhile, or the kernel's own
		}
		if err != nil {
			return nil, fmt.Errorf("look for machines: %w", err)
		}
		program, _, _ := bytes.Cut(text, []byte{0})
		if !strings.Contains(filepath.Base(string(program)), "qemu-system") || !bytes.Contains(text, []byte(y.dir)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil {
			return nil, fmt.Errorf("look for machines: %w", err)
		}
		found[pid] = string(bytes.ReplaceAll(text, []byte{0}, []byte{' '}))
	}
	return found, nil
}

// Leftovers tells what is left of a session host that was removed: rows, folders,
// records. id is the machine's GUID.
func (y *Yard) Leftovers(ctx context.Context, pool, host, machine string) ([]string, error) {
	var left []string
	for path, version := range map[string]string{
		"Microsoft.Compute/virtualMachines/" + host:                                   "2024-07-01",
		"Microsoft.Network/networkInterfaces/" + host + "-nic":                        "2023-09-01",
		"Microsoft.HybridCompute/machines/" + host:                                    "2023-03-15-preview",
		"Microsoft.AzureStackHCI/networkInterfaces/" + host + "-nic":                  stackVersion,
		"Microsoft.DesktopVirtualization/hostPools/" + pool + "/sessionHosts/" + host: "2025-10-10",
	} {
		err := y.Get(ctx, path, version, nil)
		if err == nil {
			left = append(left, path)
		} else if !service.IsStatus(err, http.StatusNotFound) {
			return left, err
		}
	}
	folders, err := y.Machines()
	if err != nil {
		return left, err
	}
	for _, f := range folders {
		if strings.EqualFold(filepath.Base(f), machine) {
			left = append(left, f)
		}
	}
	records, err := y.records(ctx, host, machine)
	return append(left, records...), err
}

// records are the rows that the API does not show.
func (y *Yard) records(ctx context.Context, host, machine string) (left []string, err error) {
	db, err := service.OpenStore(ctx, service.Database(y.dir))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if g, err := db.Guest(ctx, machine); err == nil {
		left = append(left, "the guest's record of "+g.VM.String())
	}
	scope, err := arm.ParseID(y.GroupID())
	if err != nil {
		return left, err
	}
	works, err := db.Works(ctx, deskyard.WorkQuery{Scope: scope})
	if err != nil {
		return left, err
	}
	for _, w := range works.Items {
		if strings.Contains(strings.ToLower(w.ID.String()+"/"), "/"+strings.ToLower(host)+"/") {
			left = append(left, fmt.Sprintf("work %s of %s", w.Kind, w.ID))
		}
	}
	return left, nil
}
