package agent

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// readFirst gives the first line of a file below root, "" when it cannot be read.
func readFirst(root, path string) string {
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

// settings reads "key = value" lines by section, both in lower case; comments begin
// with # or ;. A file that cannot be read has none.
func settings(root, path string) map[string]map[string]string {
	all := map[string]map[string]string{}
	f, err := os.Open(filepath.Join(root, path))
	if err != nil {
		return all
	}
	defer f.Close()
	section := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			section = strings.ToLower(strings.Trim(line, "[]"))
		default:
			k, v, _ := strings.Cut(line, "=")
			if all[section] == nil {
				all[section] = map[string]string{}
			}
			all[section][strings.ToLower(strings.TrimSpace(k))] = strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return all
}

// fullName is the host's full name as its own resolver knows it, "" when it has none.
func fullName(hostname string) string {
	if strings.Contains(hostname, ".") {
		return strings.TrimSuffix(hostname, ".")
	}
	name, err := net.LookupCNAME(hostname)
	if err != nil {
		return ""
	}
	name = strings.TrimSuffix(name, ".")
	if !strings.HasPrefix(strings.ToLower(name), strings.ToLower(hostname)+".") {
		return ""
	}
	return name
}

func shortName(hostname string) string {
	short, _, _ := strings.Cut(hostname, ".")
	return short
}
