package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/media"
	"github.com/deskyard/deskyard/durable"
)

// Files of a machine's folder.
const (
	recordFile  = "machine.json"
	lifeFile    = "life.json"
	diskFile    = "disk.qcow2"
	seedFile    = "seed.iso"
	credentials = "cred"
	varsFile    = "vars.fd"
	tpmFolder   = "tpm"
	tpmSocket   = "tpm.sock"
	tpmPID      = "tpm.pid"
	memoryFile  = "memory.bin"
	consoleFile = "console.log"
	pidFile     = "pid"
	askSocket   = "qmp.sock"
	waitSocket  = "wait.sock"
	eventSocket = "event.sock"
	logFile     = "qemu.log"
	pictureFile = "screen.png"
)

// machine is a machine's folder and what it says.
type machine struct {
	d      *Driver
	id     string
	folder string
	record record
	life   life
}

// record is what a machine was made as. It never changes.
type record struct {
	Spec    compute.Spec // without Seed
	Type    string       // QEMU's machine type with its version: hardware that an upgrade keeps
	Network string       // user | bridge
	Seeded  bool         // it has a seed disk
	Secrets []string     // names of its credentials
	Made    time.Time
}

// life is what a machine is meant to do. It is written before QEMU is started and
// after it ended on request; so a process that is gone, though it is meant to run, has
// crashed.
type life struct {
	Running bool
	Since   time.Time
	Boot    string // the host's boot id then
}

func (m *machine) path(name string) string { return filepath.Join(m.folder, name) }

// open reads a machine's folder; ErrNotFound when there is none.
func (d *Driver) open(id string) (*machine, error) {
	if !guid.MatchString(id) {
		return nil, compute.ErrNotFound
	}
	m := &machine{d: d, id: id, folder: filepath.Join(d.machines(), id)}
	if err := readJSON(m.path(recordFile), &m.record); errors.Is(err, fs.ErrNotExist) {
		return nil, compute.ErrNotFound
	} else if err != nil {
		return nil, fmt.Errorf("read what machine it is: %w", err)
	}
	if err := readJSON(m.path(lifeFile), &m.life); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what the machine did: %w", err)
	}
	return m, nil
}

// maxRecord bounds the files that we wrote ourselves.
const maxRecord = 4 << 20

func readJSON(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace(path, b, 0o600)
}

// live notes what the machine is meant to do from now on.
func (m *machine) live(l life) error {
	if err := writeJSON(m.path(lifeFile), l); err != nil {
		return fmt.Errorf("note what the machine does: %w", err)
	}
	m.life = l
	return nil
}

// A folder with this prefix is a machine's before its record is in it.
const (
	draftPrefix = "new-"
	guidLength  = 36
)

// list names the machines that have a folder.
func (d *Driver) list() ([]string, error) {
	entries, err := os.ReadDir(d.machines())
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && guid.MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// Ensure makes a machine, off, or finds it.
func (d *Driver) Ensure(ctx context.Context, s compute.Spec) error {
	defer d.lock(s.ID)()
	start := d.o.Now()
	made, err := d.ensure(ctx, s)
	if err != nil {
		return fmt.Errorf("ensure machine %s: %w", s.ID, err)
	}
	if made {
		d.o.Log.Info("machine made", "machine", s.ID, "name", s.Name, "image", s.Image.ID, "took", d.o.Now().Sub(start))
	}
	return nil
}

func (d *Driver) ensure(ctx context.Context, s compute.Spec) (made bool, err error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	m, err := d.open(s.ID)
	if errors.Is(err, compute.ErrNotFound) {
		made = true
		m, err = d.begin(ctx, s)
	}
	if err != nil {
		return false, err
	}
	if m.record.Spec.Owner != s.Owner {
		return false, errors.New("it belongs to another installation")
	}
	return made, m.complete(ctx, s)
}

// begin checks a new machine and makes its folder with the record in it: from here on
// Remove finds whatever else is made.
func (d *Driver) begin(ctx context.Context, s compute.Spec) (*machine, error) {
	if err := d.check(s); err != nil {
		return nil, err
	}
	image, err := media.Check(ctx, s.Image)
	if err != nil {
		return nil, err
	}
	if err := d.room(s, image); err != nil {
		return nil, err
	}
	m := &machine{d: d, id: s.ID, folder: filepath.Join(d.machines(), s.ID)}
	kind := "pc-i440fx"
	if s.Image.Firmware == "uefi" {
		kind = "pc-q35"
	}
	m.record = record{Spec: s, Type: fmt.Sprintf("%s-%d.%d", kind, d.versions[0], d.versions[1]), Network: d.o.Network, Seeded: len(s.Seed.NoCloud) > 0, Made: d.o.Now()}
	for name := range s.Seed.Credentials {
		m.record.Secrets = append(m.record.Secrets, name)
	}
	slices.Sort(m.record.Secrets)
	m.record.Spec.Seed = compute.Seed{}
	draft, err := os.MkdirTemp(d.machines(), draftPrefix+s.ID+"-") // 0700
	if err != nil {
		return nil, fmt.Errorf("make its folder: %w", err)
	}
	err = writeJSON(filepath.Join(draft, recordFile), m.record)
	if err == nil {
		err = m.give(draft, filepath.Join(draft, recordFile))
	}
	if err == nil {
		err = os.Rename(draft, m.folder)
	}
	if err != nil {
		return nil, fmt.Errorf("make its folder: %w", errors.Join(err, os.RemoveAll(draft)))
	}
	return m, nil
}

// give makes files the account's that QEMU runs as.
func (m *machine) give(paths ...string) error {
	if m.d.account == nil {
		return nil
	}
	for _, p := range paths {
		if err := os.Chown(p, m.d.account.uid, m.d.account.gid); err != nil {
			return err
		}
	}
	return nil
}

// complete makes what is missing of a machine.
func (m *machine) complete(ctx context.Context, s compute.Spec) error {
	own := m.record.Spec
	if err := media.Clone(ctx, own.Image, m.path(diskFile), own.Disk.SizeGB); err != nil {
		return err
	}
	if err := m.give(m.path(diskFile)); err != nil {
		return fmt.Errorf("give the disk to QEMU: %w", err)
	}
	if err := m.seed(s.Seed); err != nil {
		return err
	}
	if own.Image.Firmware == "uefi" && own.Image.Kernel == "" {
		if err := m.variables(); err != nil {
			return err
		}
	}
	if own.TPM {
		if err := m.makeTPM(ctx); err != nil {
			return err
		}
	}
	if m.record.Network != compute.NetworkBridge {
		return nil
	}
	for i, n := range own.NICs {
		if _, err := m.d.o.Bridges.Attach(ctx, m.id, i, n); err != nil {
			return err
		}
	}
	return nil
}

// seed writes the first boot's secrets, unless they stand.
func (m *machine) seed(s compute.Seed) error {
	if m.record.Seeded {
		there, err := exists(m.path(seedFile))
		if err != nil {
			return fmt.Errorf("look for the seed disk: %w", err)
		}
		if !there {
			if err := media.WriteSeed(m.path(seedFile), s.NoCloud); err != nil {
				return err
			}
		}
		if err := m.give(m.path(seedFile)); err != nil {
			return fmt.Errorf("give the seed disk to QEMU: %w", err)
		}
	}
	if len(m.record.Secrets) == 0 {
		return nil
	}
	if err := os.MkdirAll(m.path(credentials), 0o700); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	paths := []string{m.path(credentials)}
	for _, name := range m.record.Secrets {
		path := filepath.Join(m.path(credentials), name)
		paths = append(paths, path)
		there, err := exists(path)
		if err == nil && !there {
			err = durable.Replace(path, s.Credentials[name], 0o600)
		}
		if err != nil {
			return fmt.Errorf("write credential %s: %w", name, err)
		}
	}
	if err := m.give(paths...); err != nil {
		return fmt.Errorf("give the credentials to QEMU: %w", err)
	}
	return nil
}

// variables copies the firmware's variable store, unless it stands.
func (m *machine) variables() error {
	there, err := exists(m.path(varsFile))
	if err != nil || there {
		return err
	}
	from := m.d.firmware.vars
	if m.record.Spec.SecureBoot {
		from = m.d.firmware.secureVars
	}
	content, err := os.ReadFile(from)
	if err == nil {
		err = durable.Replace(m.path(varsFile), content, 0o600)
	}
	if err == nil {
		err = m.give(m.path(varsFile))
	}
	if err != nil {
		return fmt.Errorf("make the firmware's variables: %w", err)
	}
	return nil
}

// Remove ends and deletes a machine.
func (d *Driver) Remove(ctx context.Context, id string) error {
	defer d.lock(id)()
	defer d.watchers.tell(id)
	if err := d.remove(ctx, id); err != nil {
		return fmt.Errorf("remove machine %s: %w", id, err)
	}
	return nil
}

func (d *Driver) remove(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !guid.MatchString(id) {
		return nil
	}
	m := &machine{d: d, id: id, folder: filepath.Join(d.machines(), id)}
	there, err := exists(m.folder)
	if err != nil {
		return err
	}
	if there {
		if err := m.end(ctx); err != nil {
			return err
		}
		if err := m.endTPM(ctx); err != nil {
			return err
		}
	}
	if err := d.endStrays(ctx, id); err != nil {
		return err
	}
	if d.o.Bridges != nil {
		if err := d.o.Bridges.Detach(ctx, id); err != nil {
			return err
		}
	}
	drafts, err := d.drafts(nil)
	if err != nil {
		return err
	}
	for _, draft := range drafts {
		if draft.MachineID == id {
			if err := os.RemoveAll(draft.Where); err != nil {
				return err
			}
		}
	}
	if !there {
		return nil
	}
	// The record goes last: as long as anything is left, the machine is found.
	entries, err := os.ReadDir(m.folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != recordFile {
			if err := os.RemoveAll(m.path(e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.RemoveAll(m.folder); err != nil {
		return err
	}
	d.o.Log.Info("machine removed", "machine", id)
	return nil
}

// Inventory lists everything of an owner's on this host.
func (d *Driver) Inventory(ctx context.Context, owner string) ([]compute.Item, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("list what there is: %w", context.Cause(ctx))
	}
	ids, err := d.list()
	if err != nil {
		return nil, fmt.Errorf("list what there is: %w", err)
	}
	var items []compute.Item
	owners := map[string]string{} // of machines with a folder
	for _, id := range ids {
		owners[id] = d.o.Owner
		m, err := d.open(id)
		switch {
		case errors.Is(err, compute.ErrNotFound):
			// A folder of ours whose record went: a removal that was cut off at its end.
			if owner == d.o.Owner {
				items = append(items, compute.Item{MachineID: id, Kind: "folder", Where: filepath.Join(d.machines(), id)})
			}
		case err != nil:
			return nil, fmt.Errorf("list what there is: machine %s: %w", id, err)
		default:
			owners[id] = m.record.Spec.Owner
			if owners[id] == owner {
				items = append(items, m.items()...)
			}
		}
	}
	loose, err := d.loose(ctx, owner, owners)
	if err != nil {
		return nil, fmt.Errorf("list what there is: %w", err)
	}
	return append(items, loose...), nil
}

// loose lists what is outside the machines' folders: folders that were just begun,
// processes without a folder, devices of the network.
func (d *Driver) loose(ctx context.Context, owner string, owners map[string]string) (items []compute.Item, err error) {
	if owner == d.o.Owner {
		if items, err = d.drafts(owners); err != nil {
			return nil, err
		}
	}
	strays, err := d.strays(owner)
	if err != nil {
		return nil, err
	}
	for _, s := range strays {
		if _, known := owners[s.id]; !known && d.inOurFolder(s.pid) {
			items = append(items, compute.Item{MachineID: s.id, Kind: "machine", Where: fmt.Sprintf("process %d", s.pid)})
		}
	}
	if d.o.Bridges == nil {
		return items, nil
	}
	devices, err := d.o.Bridges.Items(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range devices {
		if of, known := owners[i.MachineID]; of == owner || !known && owner == d.o.Owner {
			items = append(items, i)
		}
	}
	return items, nil
}

// items lists a machine and what its folder holds.
func (m *machine) items() []compute.Item {
	items := []compute.Item{{MachineID: m.id, Name: m.record.Spec.Name, Kind: "machine", Where: m.folder}}
	for _, piece := range []struct{ kind, name string }{
		{"disk", diskFile}, {"seed", seedFile}, {"seed", credentials}, {"firmware", varsFile}, {"firmware", tpmFolder},
	} {
		if there, err := exists(m.path(piece.name)); err == nil && there { // the machine itself is listed whatever comes
			items = append(items, compute.Item{MachineID: m.id, Name: m.record.Spec.Name, Kind: piece.kind, Where: m.path(piece.name)})
		}
	}
	return items
}

// drafts lists folders of machines that were just begun when a service was killed.
func (d *Driver) drafts(known map[string]string) ([]compute.Item, error) {
	entries, err := os.ReadDir(d.machines())
	if err != nil {
		return nil, fmt.Errorf("list what there is: %w", err)
	}
	var items []compute.Item
	for _, e := range entries {
		id, draft := strings.CutPrefix(e.Name(), draftPrefix)
		if !draft || len(id) <= guidLength || !guid.MatchString(id[:guidLength]) {
			continue
		}
		if _, made := known[id[:guidLength]]; !made {
			items = append(items, compute.Item{MachineID: id[:guidLength], Kind: "folder", Where: filepath.Join(d.machines(), e.Name())})
		}
	}
	return items, nil
}
