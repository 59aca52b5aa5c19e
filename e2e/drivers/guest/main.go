//go:build linux

// Command guest is the operating system of the drivers' test machine: it runs as
// process 1 under a Debian kernel, tells on the serial port what it sees, and does
// what its kernel command line says.
//
//	{"guest":"report", …}     what the machine is, once
//	{"guest":"tick", "run":…} every second, with the name of this boot
//	{"guest":"button"}        somebody pressed the power button; then it powers off
//
//	do=poweroff | panic | reboot-once | fill    what it does after its report
//	call=10.0.2.2:8080                          connects there and tells what it was told
//	listen=22,3389                              says hello to whoever connects there
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Report is what the machine is, seen from the inside.
type Report struct {
	Guest       string            `json:"guest"`
	Run         string            `json:"run"` // names this boot
	Boots       uint64            `json:"boots"`
	CPUs        int               `json:"cpus"`
	MemoryMB    int               `json:"memoryMB"`
	UUID        string            `json:"uuid"`
	Serial      string            `json:"serial"`
	Asset       string            `json:"asset"`
	Disk        string            `json:"disk"`
	DiskBytes   int64             `json:"diskBytes"`
	Rotational  string            `json:"rotational"`
	MAC         string            `json:"mac"`
	Address     string            `json:"address"`
	Seed        map[string]string `json:"seed"`        // SHA-256 of each file
	Credentials map[string]string `json:"credentials"` // likewise
	TPM         string            `json:"tpm"`         // its major version
	SecureBoot  bool              `json:"secureBoot"`
	Said        string            `json:"said"` // what call's other side told
	Faults      []string          `json:"faults"`
}

func main() {
	for _, m := range []struct{ kind, dir string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		os.MkdirAll(m.dir, 0o755)
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil {
			say(map[string]any{"guest": "fault", "error": m.dir + ": " + err.Error()})
		}
	}
	run := make([]byte, 8)
	rand.Read(run)
	r := Report{Guest: "report", Run: hex.EncodeToString(run), CPUs: runtime.NumCPU()}
	note := func(what string, err error) {
		if err != nil {
			r.Faults = append(r.Faults, what+": "+err.Error())
		}
	}
	note("modules", loadModules())
	settle()
	options := commandLine()
	go watchButton()
	note("memory", r.memory())
	r.firmware()
	note("disk", r.disk())
	note("seed", r.seed())
	r.credentials()
	if options["net"] != "none" {
		note("address", r.network())
	}
	for port := range strings.SplitSeq(options["listen"], ",") {
		if port != "" {
			note("listen", listen(port))
		}
	}
	if to := options["call"]; to != "" {
		said, err := call(to)
		r.Said = said
		note("call", err)
	}
	say(r)
	act(options["do"], r)
	for n := 0; ; n++ {
		say(map[string]any{"guest": "tick", "run": r.Run, "n": n})
		time.Sleep(time.Second)
	}
}

// say writes a line to the serial port, whole.
func say(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		line = []byte(err.Error())
	}
	port, err := os.OpenFile("/dev/ttyS0", os.O_WRONLY, 0)
	if err != nil {
		port = os.Stdout
	}
	port.Write([]byte("\n" + string(line) + "\n"))
	if port != os.Stdout {
		port.Close()
	}
}

func loadModules() error {
	list, err := os.ReadFile("/modules/order")
	if err != nil {
		return err
	}
	var faults []error
	for _, name := range strings.Fields(string(list)) {
		f, err := os.Open("/modules/" + name)
		if err != nil {
			return err
		}
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENODEV) { // no such hardware here
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
		f.Close()
	}
	return errors.Join(faults...)
}

// settle waits for the disk's device, whose driver has just been loaded.
func settle() {
	for range 100 {
		if disk() != "" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// disk is the system disk's name: the first that is not the seed.
func disk() string {
	for _, name := range []string{"vda", "sda", "nvme0n1"} {
		if _, err := os.Stat("/dev/" + name); err == nil {
			return name
		}
	}
	return ""
}

func commandLine() map[string]string {
	b, _ := os.ReadFile("/proc/cmdline")
	options := map[string]string{}
	for _, word := range strings.Fields(string(b)) {
		key, value, _ := strings.Cut(word, "=")
		options[key] = value
	}
	return options
}

func text(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (r *Report) memory() error {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return err
	}
	r.MemoryMB = int(info.Totalram * uint64(info.Unit) >> 20)
	return nil
}

func (r *Report) firmware() {
	r.UUID = text("/sys/class/dmi/id/product_uuid")
	r.Serial = text("/sys/class/dmi/id/product_serial")
	r.Asset = text("/sys/class/dmi/id/chassis_asset_tag")
	r.TPM = text("/sys/class/tpm/tpm0/tpm_version_major")
	if unix.Mount("efivarfs", "/sys/firmware/efi/efivars", "efivarfs", 0, "") == nil {
		b, err := os.ReadFile("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
		r.SecureBoot = err == nil && len(b) == 5 && b[4] == 1
	}
}

// bootMark is where on the disk the boots are counted: behind what a FAT file system
// or a partition table needs.
const bootMark = 900 << 20

func (r *Report) disk() error {
	r.Disk = disk()
	if r.Disk == "" {
		return errors.New("there is none")
	}
	sectors, err := strconv.ParseInt(text("/sys/block/"+r.Disk+"/size"), 10, 64)
	if err != nil {
		return err
	}
	r.DiskBytes = sectors * 512
	r.Rotational = text("/sys/block/" + r.Disk + "/queue/rotational")
	f, err := os.OpenFile("/dev/"+r.Disk, os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	sector := make([]byte, 512)
	if _, err := f.ReadAt(sector, bootMark); err != nil {
		return err
	}
	r.Boots = binary.LittleEndian.Uint64(sector) + 1
	binary.LittleEndian.PutUint64(sector, r.Boots)
	_, err = f.WriteAt(sector, bootMark)
	return err
}

// seed reads a disk labelled cidata.
func (r *Report) seed() error {
	devices, _ := filepath.Glob("/sys/block/[vs]*")
	for _, d := range devices {
		name := filepath.Base(d)
		header := make([]byte, 40)
		f, err := os.Open("/dev/" + name)
		if err != nil {
			continue
		}
		_, err = f.ReadAt(header, 0x8000+40)
		f.Close()
		if err != nil || !bytes.HasPrefix(header, []byte("cidata")) {
			continue
		}
		os.MkdirAll("/seed", 0o755)
		if err := unix.Mount("/dev/"+name, "/seed", "iso9660", unix.MS_RDONLY, ""); err != nil {
			return err
		}
		r.Seed = sums("/seed/*")
	}
	return nil
}

func (r *Report) credentials() {
	r.Credentials = map[string]string{}
	folders, _ := filepath.Glob("/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/*")
	for _, f := range folders {
		for _, sum := range sums(filepath.Join(f, "raw")) {
			r.Credentials[filepath.Base(f)] = sum
		}
	}
}

func sums(pattern string) map[string]string {
	all := map[string]string{}
	files, _ := filepath.Glob(pattern)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			all[filepath.Base(f)] = err.Error()
			continue
		}
		sum := sha256.Sum256(b)
		all[filepath.Base(f)] = hex.EncodeToString(sum[:])
	}
	return all
}

// network takes the address that DHCP gives.
func (r *Report) network() error {
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	r.MAC = link.Attrs().HardwareAddr.String()
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	client, err := nclient4.New("eth0", nclient4.WithTimeout(3*time.Second), nclient4.WithRetry(4))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	lease, err := client.Request(ctx)
	if err != nil {
		return err
	}
	r.Address = lease.ACK.YourIPAddr.String()
	address := &netlink.Addr{IPNet: &net.IPNet{IP: lease.ACK.YourIPAddr, Mask: lease.ACK.SubnetMask()}}
	if err := netlink.AddrAdd(link, address); err != nil {
		return err
	}
	if routers := lease.ACK.Router(); len(routers) > 0 {
		return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: routers[0]})
	}
	return nil
}

func listen(port string) error {
	l, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "hello\n")
			c.Close()
		}
	}()
	return nil
}

func call(to string) (string, error) {
	c, err := net.DialTimeout("tcp", to, 10*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	b, err := io.ReadAll(io.LimitReader(c, 4096))
	return string(b), err
}

// watchButton powers off when the power button is pressed.
func watchButton() {
	devices, _ := filepath.Glob("/dev/input/event*")
	for _, d := range devices {
		go func() {
			f, err := os.Open(d)
			if err != nil {
				return
			}
			event := make([]byte, 24) // struct input_event
			for {
				if _, err := io.ReadFull(f, event); err != nil {
					return
				}
				const evKey, keyPower = 1, 116
				if binary.LittleEndian.Uint16(event[16:]) == evKey && binary.LittleEndian.Uint16(event[18:]) == keyPower && event[20] == 1 {
					say(map[string]any{"guest": "button"})
					unix.Sync()
					unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
				}
			}
		}()
	}
}

func act(what string, r Report) {
	switch what {
	case "poweroff":
		unix.Sync()
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	case "panic":
		os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	case "reboot-once":
		if r.Boots == 1 {
			unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
		}
	case "fill":
		f, err := os.OpenFile("/dev/"+r.Disk, os.O_WRONLY|unix.O_SYNC, 0)
		if err != nil {
			say(map[string]any{"guest": "fault", "error": err.Error()})
			return
		}
		block := make([]byte, 1<<20)
		rand.Read(block)
		for n := int64(0); n < 512; n++ {
			if _, err := f.WriteAt(block, n<<20); err != nil {
				say(map[string]any{"guest": "fault", "error": err.Error()})
				return
			}
		}
		say(map[string]any{"guest": "filled"})
	}
}
