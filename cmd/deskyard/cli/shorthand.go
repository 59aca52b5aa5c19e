package cli

import (
	"encoding/json"
	"fmt"
	"strings"
)

// parseShorthand reads an object argument as az's shorthand syntax has it: pairs
// "a=1 b.c=2 list[0]=x", one JSON object, or az's own "{a:1,b:{c:2}}". Values stay
// strings unless they are JSON literals within a JSON object, or null, which is nil.
func parseShorthand(args []string) (map[string]any, error) {
	out := map[string]any{}
	for _, arg := range args {
		arg = strings.TrimSpace(arg)
		if arg == "" {
			continue
		}
		if strings.HasPrefix(arg, "{") {
			v, err := parseShortValue(arg)
			if err != nil {
				return nil, err
			}
			object, ok := v.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("%q is not an object", arg)
			}
			for k, v := range object {
				out[k] = v
			}
			continue
		}
		path, raw, ok := strings.Cut(arg, "=")
		if !ok || path == "" {
			return nil, fmt.Errorf("%q is not of the form name=value", arg)
		}
		v, err := parseShortValue(raw)
		if err != nil {
			return nil, err
		}
		if err := setPath(out, splitDots(path), v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// parseTags reads --tags: pairs whose names may hold dots; a name alone has an
// empty value. No argument, or an empty one, means no tags.
func parseTags(args []string) (map[string]any, error) {
	tags := map[string]any{}
	for _, arg := range args {
		if strings.HasPrefix(arg, "{") {
			object, err := parseShorthand([]string{arg})
			if err != nil {
				return nil, err
			}
			for k, v := range object {
				tags[k] = v
			}
			continue
		}
		if name, value, _ := strings.Cut(arg, "="); name != "" {
			tags[name] = value
		}
	}
	return tags, nil
}

// parseShortValue reads the right side of a pair.
func parseShortValue(s string) (any, error) {
	switch {
	case s == "null":
		return nil, nil
	case len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'':
		return strings.ReplaceAll(s[1:len(s)-1], "'/", "'"), nil // az escapes a quote as '/
	case strings.HasPrefix(s, "{"), strings.HasPrefix(s, "["):
		var v any
		dec := json.NewDecoder(strings.NewReader(s))
		dec.UseNumber()
		if err := dec.Decode(&v); err == nil && !dec.More() {
			return v, nil
		}
		p := &shortParser{in: s}
		v, err := p.value(0)
		if err == nil && p.at != len(s) {
			err = p.fault("nothing more")
		}
		return v, err
	}
	return s, nil
}

// maxDepth bounds nesting, so that a hostile value cannot exhaust the stack.
const maxDepth = 32

// shortParser reads az's full-value shorthand: {a:1,b:[x,'y z']}, where strings
// need quotes only when they hold one of , : { } [ ] or a quote.
type shortParser struct {
	in string
	at int
}

func (p *shortParser) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%.40q… is nested deeper than %d levels", p.in, maxDepth)
	}
	p.blanks()
	if p.at >= len(p.in) {
		return nil, p.fault("a value")
	}
	switch p.in[p.at] {
	case '{':
		return p.object(depth)
	case '[':
		return p.list(depth)
	}
	s, quoted, err := p.word(",}]")
	if err != nil {
		return nil, err
	}
	if s == "null" && !quoted {
		return nil, nil
	}
	return s, nil
}

func (p *shortParser) object(depth int) (any, error) {
	p.at++ // {
	out := map[string]any{}
	for {
		p.blanks()
		if p.take('}') {
			return out, nil
		}
		if len(out) > 0 && !p.take(',') {
			return nil, p.fault("',' or '}'")
		}
		p.blanks()
		key, _, err := p.word(":,{}[]")
		if err != nil {
			return nil, err
		}
		p.blanks()
		if key == "" || !p.take(':') {
			return nil, p.fault("name:value")
		}
		if out[key], err = p.value(depth + 1); err != nil {
			return nil, err
		}
	}
}

func (p *shortParser) list(depth int) (any, error) {
	p.at++ // [
	out := []any{}
	for {
		p.blanks()
		if p.take(']') {
			return out, nil
		}
		if len(out) > 0 && !p.take(',') {
			return nil, p.fault("',' or ']'")
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
}

// word reads a quoted string, or everything up to one of the characters in end.
func (p *shortParser) word(end string) (s string, quoted bool, err error) {
	if p.at < len(p.in) && p.in[p.at] == '\'' {
		rest := p.in[p.at+1:]
		for i := 0; i < len(rest); i++ {
			if rest[i] != '\'' {
				continue
			}
			if i+1 < len(rest) && rest[i+1] == '/' {
				i++
				continue
			}
			p.at += i + 2
			return strings.ReplaceAll(rest[:i], "'/", "'"), true, nil
		}
		return "", true, p.fault("a closing quote")
	}
	start := p.at
	for p.at < len(p.in) && !strings.ContainsRune(end, rune(p.in[p.at])) {
		p.at++
	}
	s = strings.TrimSpace(p.in[start:p.at])
	if s == "" {
		return "", false, p.fault("a name or value")
	}
	return s, false, nil
}

func (p *shortParser) blanks() {
	for p.at < len(p.in) && (p.in[p.at] == ' ' || p.in[p.at] == '\t' || p.in[p.at] == '\n') {
		p.at++
	}
}

func (p *shortParser) take(c byte) bool {
	if p.at < len(p.in) && p.in[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *shortParser) fault(want string) error {
	return fmt.Errorf("%q: %s expected at character %d", p.in, want, p.at+1)
}
