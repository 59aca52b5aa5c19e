package qemu

import (
	"os"
	"os/exec"
	"path/filepath"
)

// firmware is what is installed to boot machines with.
type firmware struct {
	code, vars             string // UEFI
	secureCode, secureVars string // UEFI that starts only what Microsoft's keys signed
	swtpm, swtpmSetup      string // TPM 2.0
}

// firmwareFolders are where distributions put OVMF: Debian and Ubuntu, Fedora, Arch.
var firmwareFolders = []string{"/usr/share/OVMF", "/usr/share/edk2/ovmf", "/usr/share/edk2/x64"}

// findFirmware takes the first complete pair of each sort.
func findFirmware() (f firmware) {
	pair := func(code, vars string) (string, string) {
		for _, dir := range firmwareFolders {
			c, v := filepath.Join(dir, code), filepath.Join(dir, vars)
			if _, err := os.Stat(c); err != nil {
				continue
			}
			if _, err := os.Stat(v); err == nil {
				return c, v
			}
		}
		return "", ""
	}
	first := func(code, vars *string, names ...[2]string) {
		for _, n := range names {
			if *code == "" {
				*code, *vars = pair(n[0], n[1])
			}
		}
	}
	first(&f.code, &f.vars, [2]string{"OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"}, [2]string{"OVMF_CODE.fd", "OVMF_VARS.fd"})
	first(&f.secureCode, &f.secureVars, [2]string{"OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd"},
		[2]string{"OVMF_CODE.secboot.fd", "OVMF_VARS.secboot.fd"})
	swtpm, err := exec.LookPath("swtpm")
	setup, err2 := exec.LookPath("swtpm_setup")
	if err == nil && err2 == nil {
		f.swtpm, f.swtpmSetup = swtpm, setup
	}
	return f
}
