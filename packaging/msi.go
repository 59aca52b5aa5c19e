package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed windows
var windowsFiles embed.FS

// windows packs a component for Windows and, where wixl is installed, its installer.
// Neither has been run on Windows.
func (b build) windows(c component) error {
	program, err := b.compile(c, "windows", "amd64")
	if err != nil {
		return err
	}
	manifest, err := b.archive(c, "windows", "amd64", program)
	if err != nil || !c.deb {
		return err
	}
	if _, err := exec.LookPath("wixl"); err != nil {
		fmt.Fprintln(os.Stderr, "packaging: no installer for Windows: wixl is not installed (apt-get install wixl msitools)")
		return nil
	}
	return b.msi(c, program, manifest)
}

func (b build) msi(c component, program, manifest string) error {
	source := filepath.Join(b.work, c.name+".wxs")
	current := filepath.Join(b.work, c.name+".current")
	text, err := windowsFiles.ReadFile("windows/" + c.name + ".wxs")
	if err := errors.Join(err, os.WriteFile(source, text, 0o644), os.WriteFile(current, []byte(b.version+"\n"), 0o644)); err != nil {
		return fmt.Errorf("package %s for Windows: %w", c.name, err)
	}
	file := filepath.Join(b.out, fmt.Sprintf("deskyard-%s-%s-x64.msi", c.name, b.version))
	cmd := exec.Command("wixl", "-a", "x64", "-o", file)
	// wixl finds files only by paths relative to the source.
	cmd.Dir = b.work
	for name, value := range map[string]string{"Program": program, "Manifest": manifest, "Current": current} {
		relative, err := filepath.Rel(b.work, value)
		if err != nil {
			return fmt.Errorf("package %s for Windows: %w", c.name, err)
		}
		cmd.Args = append(cmd.Args, "-D", name+"="+relative)
	}
	cmd.Args = append(cmd.Args, "-D", "Version="+msiVersion(b.version), "-D", "FullVersion="+b.version, filepath.Base(source))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("package %s for Windows: %w\n%s", c.name, err, out)
	}
	if c.name == "agent" {
		// wixl 0.101 ignores the attributes that keep a property out of the log and let
		// it through to the elevated part; they are rows of the Property table.
		for property, value := range map[string]string{"SecureCustomProperties": "REGISTRATIONTOKEN", "MsiHiddenProperties": "REGISTRATIONTOKEN"} {
			if err := setProperty(file, property, value); err != nil {
				return fmt.Errorf("package %s for Windows: %w", c.name, err)
			}
		}
	}
	return done(file)
}

// setProperty adds a value to a semicolon-separated property of an installer.
func setProperty(file, property, value string) error {
	out, err := exec.Command("msiinfo", "export", file, "Property").Output()
	if err != nil {
		return fmt.Errorf("read properties: %w", err)
	}
	statement := fmt.Sprintf("INSERT INTO `Property` (`Property`, `Value`) VALUES ('%s', '%s')", property, value)
	for line := range strings.Lines(string(out)) {
		name, old, found := strings.Cut(strings.TrimRight(line, "\r\n"), "\t")
		if !found || name != property {
			continue
		}
		if strings.Contains(";"+old+";", ";"+value+";") {
			return nil
		}
		statement = fmt.Sprintf("UPDATE `Property` SET `Value` = '%s;%s' WHERE `Property` = '%s'", old, value, property)
	}
	if out, err := exec.Command("msibuild", file, "-q", statement).CombinedOutput(); err != nil {
		return fmt.Errorf("set property %s: %w: %s", property, err, out)
	}
	return nil
}

// msiVersion is the three numbers that Windows Installer compares.
func msiVersion(v string) string {
	parts := strings.Split(strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune("-~+", r) })[0], ".")
	for len(parts) < 3 {
		parts = append(parts, "0")
	}
	return strings.Join(parts[:3], ".")
}
