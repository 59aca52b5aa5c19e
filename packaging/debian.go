package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"

	"github.com/deskyard/deskyard/signon"
)

//go:embed debian
var debianFiles embed.FS

// debian packs a component's Debian package. Its files are in /usr/lib/deskyard; the
// maintainer scripts make a version below /opt/deskyard of them, which belongs to the
// boot loader: dpkg would remove the version that runs when it upgrades the package.
func (b build) debian(c component, arch, program, manifest string) error {
	info := &nfpm.Info{
		Name: "deskyard-" + c.name, Arch: arch, Platform: "linux", Version: debianVersion(b.version), VersionSchema: "none",
		Section: "admin", Priority: "optional", Maintainer: "Deskyard <deskyard@localhost>", Homepage: "https://github.com/deskyard/deskyard",
		Description: descriptions[c.name], MTime: time.Unix(0, 0).UTC(),
	}
	lib := "/usr/lib/deskyard/" + c.name + "/"
	info.Contents = files.Contents{
		{Source: program, Destination: lib + filepath.Base(program), FileInfo: &files.ContentFileInfo{Mode: 0o755, MTime: info.MTime}},
		{Source: manifest, Destination: lib + "manifest.json", FileInfo: &files.ContentFileInfo{Mode: 0o644, MTime: info.MTime}},
		{Source: "/opt/deskyard/" + c.name + "/current/" + c.command, Destination: "/usr/bin/" + c.command, Type: files.TypeSymlink, FileInfo: &files.ContentFileInfo{MTime: info.MTime}},
	}
	info.Deb.Compression = "xz"
	if err := b.scripts(c, arch, info); err != nil {
		return fmt.Errorf("package %s: %w", info.Name, err)
	}
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return fmt.Errorf("package %s: %w", info.Name, err)
	}
	file := filepath.Join(b.out, fmt.Sprintf("%s_%s_%s.deb", info.Name, info.Version, arch))
	f, err := os.CreateTemp(b.out, ".new-*")
	if err != nil {
		return fmt.Errorf("package %s: %w", info.Name, err)
	}
	defer os.Remove(f.Name()) // gone after the rename
	err = deb.Default.Package(info, f)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("package %s: %w", info.Name, err)
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return fmt.Errorf("package %s: %w", info.Name, err)
	}
	return done(file)
}

var descriptions = map[string]string{
	"agent": `Deskyard infrastructure agent of a session host
Registers this machine with the host pool whose registration key it is given, and
reports its health and sessions. The boot loader (deskyard-bootloader) runs it.`,
	"bootloader": `Deskyard boot loader of a session host
Runs the agent, fetches the network stack and the monitoring agent from the
service, keeps all of them up to date and rolls back a version that does not work.`,
}

// debianVersion makes a pre-release sort before its release, as the boot loader has it.
func debianVersion(v string) string { return strings.Replace(v, "-", "~", 1) }

// scripts adds the maintainer scripts, and what belongs to one package alone.
func (b build) scripts(c component, arch string, info *nfpm.Info) error {
	var errs []error
	write := func(name string) string { // "" where the package has no such script
		text, err := b.expand("debian/" + c.name + "." + name)
		if errors.Is(err, fs.ErrNotExist) {
			return ""
		}
		path := filepath.Join(b.work, c.name+"."+arch+"."+name)
		errs = append(errs, err, os.WriteFile(path, []byte(text), 0o755))
		return path
	}
	info.Scripts = nfpm.Scripts{PreInstall: write("preinst"), PostInstall: write("postinst"), PreRemove: write("prerm"), PostRemove: write("postrm")}
	switch c.name {
	case "agent":
		info.Depends = []string{"debconf (>= 0.5) | debconf-2.0"}
		info.Recommends = []string{"deskyard-bootloader"}
		info.Deb.Scripts.Config, info.Deb.Scripts.Templates = write("config"), write("templates")
		info.Deb.Triggers.InterestNoAwait = []string{"deskyard-agent-forget"}
	case "bootloader":
		info.Depends = []string{"init-system-helpers (>= 1.54)", "libpam-runtime (>= 1.1.3)", "libpam-modules", "passwd"}
		info.Recommends = []string{"deskyard-agent"}
		plain := func(name, text, to string) {
			path := filepath.Join(b.work, name)
			errs = append(errs, os.WriteFile(path, []byte(text), 0o644))
			info.Contents = append(info.Contents, &files.Content{Source: path, Destination: to, FileInfo: &files.ContentFileInfo{Mode: 0o644, MTime: info.MTime}})
		}
		for _, unit := range []string{"deskyard-bootloader.service", "deskyard-goodbye.service"} {
			text, err := debianFiles.ReadFile("debian/" + unit)
			if err != nil {
				return err
			}
			plain(unit, string(text), "/lib/systemd/system/"+unit)
		}
		plain("pam-profile", signon.PAMProfile, signon.PAMProfilePath)
	}
	return errors.Join(errs...)
}

// expand reads a script and puts in the pieces and the version that it names.
func (b build) expand(name string) (string, error) {
	text, err := debianFiles.ReadFile(name)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		piece, found := strings.CutPrefix(strings.TrimSpace(line), "#INCLUDE ")
		if !found {
			out.WriteString(strings.ReplaceAll(line, "#VERSION", "'"+b.version+"'"))
			continue
		}
		t, err := debianFiles.ReadFile("debian/" + piece)
		if err != nil {
			return "", err
		}
		out.Write(t)
	}
	return out.String(), nil
}
