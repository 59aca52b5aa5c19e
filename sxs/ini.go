package sxs

import (
	"bytes"
	"slices"
	"strings"
)

// globals reads the settings of an ini file's [Globals] section.
func globals(ini []byte) map[string]string { return settingsOf(ini, "Globals") }

// settingsOf reads the settings of one section; keys come in lower case.
func settingsOf(ini []byte, name string) map[string]string {
	settings := map[string]string{}
	walk(ini, name, func(_ int, key, value string) {
		if key != "" {
			settings[key] = value
		}
	})
	return settings
}

// setGlobals gives settings of [Globals] new values where they differ, and leaves
// every other byte as it is. A missing setting, or section, is added.
func setGlobals(ini []byte, wanted map[string]string) []byte {
	lines := bytes.SplitAfter(ini, []byte("\n"))
	missing := map[string]string{}
	for k, v := range wanted {
		missing[k] = v
	}
	section := -1
	walk(ini, "Globals", func(n int, key, value string) {
		if key == "" {
			section = n
			return
		}
		want, ok := wanted[key]
		if !ok {
			return
		}
		delete(missing, key)
		if value != want {
			lines[n] = []byte(key + "=" + want + "\n")
		}
	})
	if len(missing) == 0 {
		return bytes.Join(lines, nil)
	}
	var added []string
	for k, v := range missing {
		added = append(added, k+"="+v+"\n")
	}
	slices.Sort(added)
	text := []byte(strings.Join(added, ""))
	if section < 0 { // at the end, where it takes nothing that stands outside into itself
		if len(ini) > 0 && !bytes.HasSuffix(ini, []byte("\n")) {
			ini = append(bytes.Clone(ini), '\n')
		}
		return append(bytes.Clone(ini), "[Globals]\n"+string(text)...)
	}
	if !bytes.HasSuffix(lines[section], []byte("\n")) {
		lines[section] = append(bytes.Clone(lines[section]), '\n')
	}
	lines = slices.Insert(lines, section+1, text)
	return bytes.Join(lines, nil)
}

// walk calls f with the line number of a section's header (key "") and of each setting in
// it; keys come in lower case.
func walk(ini []byte, name string, f func(line int, key, value string)) {
	inside := false
	for n, line := range bytes.SplitAfter(ini, []byte("\n")) {
		s := strings.TrimSpace(string(line))
		switch {
		case strings.HasPrefix(s, "["):
			inside = strings.EqualFold(s, "["+name+"]")
			if inside {
				f(n, "", "")
			}
		case !inside || s == "" || s[0] == ';' || s[0] == '#':
		default:
			if key, value, ok := strings.Cut(s, "="); ok {
				f(n, strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value))
			}
		}
	}
}
