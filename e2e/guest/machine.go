package guest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
)

const qemu = "qemu-system-x86_64"

// fastBoot halves the boot time under emulation: no mitigations for a CPU that has
// no speculation, no self-tests, no tracing, no second security module.
const fastBoot = "mitigations=off audit=0 no_timer_check tsc=reliable nowatchdog random.trust_cpu=on quiet " +
	"apparmor=0 selinux=0 systemd.show_status=0 cryptomgr.notests nokaslr ftrace=off"

// Options of a machine. Name, Image, Accel and Dir are required.
type Options struct {
	Name      string      // host name
	Image     Image       // what it boots
	Accel     Accelerator // from ProbeAccelerator
	Dir       string      // for disk, log and sockets; its path must be short (Unix sockets end at 108 bytes)
	CloneOf   string      // a disk to start from instead of the image's, left unchanged
	LoginOf   *Machine    // whose SSH key opens it too; needed for a clone, which has that key on its disk
	MemoryMiB int         // 1024 if 0
}

// Machine is a running virtual machine. It ends with Stop.
type Machine struct {
	Name string
	UUID string // SMBIOS system UUID
	Disk string // its own disk, over a backing file

	dir       string
	arguments []string
	shell     *Shell
	done      chan struct{} // closed when QEMU has ended for good

	mu       sync.Mutex // guards what follows
	process  *exec.Cmd
	monitor  *monitor
	stopping bool
	failure  error // why QEMU was not started again
}

// Start boots a machine; Shell().Wait tells when it answers. Each machine has its
// own SMBIOS UUID, also when its disk is a clone.
func Start(ctx context.Context, o Options) (*Machine, error) {
	if o.MemoryMiB == 0 {
		o.MemoryMiB = 1024
	}
	dir := filepath.Join(o.Dir, o.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the machine's folder: %w", err)
	}
	m := &Machine{Name: o.Name, UUID: uuid.NewString(), Disk: filepath.Join(dir, "disk.qcow2"), dir: dir, done: make(chan struct{})}
	base := o.CloneOf
	if base == "" {
		base = o.Image.Disk()
	}
	out, err := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, m.Disk).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("make the disk of %s: %w: %s", o.Name, err, strings.TrimSpace(string(out)))
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if m.shell, err = newShell("127.0.0.1:"+strconv.Itoa(port), o.LoginOf); err != nil {
		return nil, err
	}
	m.arguments = m.commandLine(o, port)
	if err := m.powerOn(ctx); err != nil {
		return nil, err
	}
	go m.keepRunning()
	return m, nil
}

func (m *Machine) commandLine(o Options, sshPort int) []string {
	cpu := "Nehalem"
	if o.Accel.Name == "kvm" {
		cpu = "host"
	}
	key := base64.StdEncoding.EncodeToString(m.shell.authorizedKey())
	return []string{"-name", o.Name, "-machine", "pc,usb=off", "-no-reboot", "-accel", accelOption(o.Accel), "-cpu", cpu, "-smp", "2",
		"-m", strconv.Itoa(o.MemoryMiB), "-nodefaults", "-no-user-config", "-display", "none", "-uuid", m.UUID,
		"-kernel", o.Image.Kernel(), "-append", "root=/dev/nvme0n1 rw console=ttyS0 systemd.hostname=" + o.Name + " " + fastBoot,
		"-drive", "if=none,id=root,format=qcow2,cache=unsafe,file=" + m.Disk, "-device", "nvme,drive=root,serial=root",
		"-netdev", "user,id=net,hostfwd=tcp:127.0.0.1:" + strconv.Itoa(sshPort) + "-:22", "-device", "virtio-net-pci,netdev=net,romfile=",
		"-device", "virtio-rng-pci",
		// systemd's tmpfiles put this credential into root's authorized_keys.
		"-smbios", "type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root=" + key,
		"-chardev", "file,id=console,append=on,path=" + filepath.Join(m.dir, "serial.log"), "-serial", "chardev:console",
		"-qmp", "unix:" + filepath.Join(m.dir, "qmp") + ",server=on,wait=off"}
}

// powerOn starts QEMU and connects to its monitor. QEMU gets a process group of its
// own, so that an interrupt typed at the terminal reaches us, who then stop it in
// order.
func (m *Machine) powerOn(ctx context.Context) error {
	log, err := os.Create(filepath.Join(m.dir, "qemu.log"))
	if err != nil {
		return fmt.Errorf("make QEMU's log: %w", err)
	}
	defer log.Close()
	socket := filepath.Join(m.dir, "qmp")
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the monitor's old socket: %w", err)
	}
	m.process = exec.Command(qemu, m.arguments...)
	m.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	m.process.Stdout, m.process.Stderr = log, log
	if err := m.process.Start(); err != nil {
		return fmt.Errorf("start QEMU (apt-get install qemu-system-x86): %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, commandFor)
	defer cancel()
	if m.monitor, err = dialMonitor(ctx, socket); err != nil {
		m.process.Process.Kill()
		m.process.Wait()
		return fmt.Errorf("start %s: %w; QEMU said: %s", m.Name, err, m.tail("qemu.log", 5))
	}
	return nil
}

// keepRunning starts QEMU again whenever it ends before Stop: at a reboot, a
// shutdown or a power cut. A reboot within QEMU would be shorter, but the one of
// Debian 12 hangs at the second boot of a kernel that it loads itself.
func (m *Machine) keepRunning() {
	defer close(m.done)
	for {
		m.process.Wait() // how it ended does not matter: machines lose power
		m.mu.Lock()
		m.monitor.conn.Close()
		if m.stopping {
			m.mu.Unlock()
			return
		}
		m.failure = m.powerOn(context.Background())
		m.mu.Unlock()
		if m.failure != nil {
			return
		}
	}
}

// do has QEMU's monitor carry out a command.
func (m *Machine) do(command string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil {
		return m.failure
	}
	return m.monitor.do(command)
}

func accelOption(a Accelerator) string {
	if a.Name == "kvm" {
		return "kvm"
	}
	return "tcg,thread=multi"
}

// freePort asks the kernel for a port on the loopback that nobody has. It is given
// back before QEMU takes it; the kernel hands ports out in turn, so that the next
// asker gets another.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Shell is root's shell on the machine.
func (m *Machine) Shell() *Shell { return m.shell }

// Freeze stops the machine's processors between two instructions, as a hung
// hypervisor does; Thaw lets them go on.
func (m *Machine) Freeze() error { return m.do("stop") }

// Thaw undoes Freeze.
func (m *Machine) Thaw() error { return m.do("cont") }

// PowerCycle takes the power away and gives it back.
func (m *Machine) PowerCycle() error { return m.do("quit") }

// CopyDisk copies the machine's disk as it is at one moment, as whoever clones a
// running machine does, and returns the copy's path.
func (m *Machine) CopyDisk(ctx context.Context) (string, error) {
	if err := m.Freeze(); err != nil {
		return "", err
	}
	copied := filepath.Join(m.dir, "copy.qcow2")
	// The overlay is small: only what the machine wrote.
	out, err := exec.CommandContext(ctx, "cp", "--sparse=always", m.Disk, copied).CombinedOutput()
	if thawed := m.Thaw(); thawed != nil {
		return "", thawed
	}
	if err != nil {
		return "", fmt.Errorf("copy the disk of %s: %w: %s", m.Name, err, strings.TrimSpace(string(out)))
	}
	return copied, nil
}

// stopFor is how long QEMU gets to end by itself.
const stopFor = 5 * time.Second

// Stop ends the machine as a power cut does and waits until QEMU is gone. A second
// call does nothing.
func (m *Machine) Stop() {
	m.shell.close()
	m.mu.Lock()
	m.stopping = true
	err := m.failure
	if err == nil {
		err = m.monitor.do("quit")
	}
	if err != nil {
		m.process.Process.Kill()
	}
	m.mu.Unlock()
	select {
	case <-m.done:
	case <-time.After(stopFor):
		m.process.Process.Kill()
		<-m.done
	}
}

// SerialLog is the end of what the machine wrote to its console.
func (m *Machine) SerialLog() string { return m.tail("serial.log", 25) }

// tail returns the last lines of a file of the machine's folder, or why it cannot.
func (m *Machine) tail(name string, lines int) string {
	b, err := os.ReadFile(filepath.Join(m.dir, name))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
