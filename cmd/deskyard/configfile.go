package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// maxConfig bounds a configuration file; a real one has some dozen lines.
const maxConfig = 1 << 20

// loadYAML reads a configuration file. Its keys are the long names of the flags of
// serve, without dashes before them; an unknown one is refused by kong's resolver
// check, so that a misspelt setting is never silently ignored.
func loadYAML(r io.Reader) (kong.Resolver, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxConfig))
	if err != nil {
		return nil, fmt.Errorf("read configuration file: %w", err)
	}
	settings := map[string]any{}
	if err := yaml.Unmarshal(text, &settings); err != nil {
		return nil, fmt.Errorf("read configuration file: %w", err)
	}
	return &fileSettings{settings}, nil
}

// fileSettings gives kong the settings of a file, and refuses keys that no flag has.
type fileSettings struct{ values map[string]any }

// Validate implements kong.Resolver.
func (s *fileSettings) Validate(app *kong.Application) error {
	known := map[string]bool{}
	err := kong.Visit(app, func(n kong.Visitable, next kong.Next) error {
		if f, ok := n.(*kong.Flag); ok {
			known[f.Name] = true
		}
		return next(nil)
	})
	if err != nil {
		return err
	}
	var unknown bytes.Buffer
	for k := range s.values {
		if !known[k] {
			fmt.Fprintf(&unknown, " %q", k)
		}
	}
	if unknown.Len() > 0 {
		return fmt.Errorf("configuration file has unknown settings:%s; `deskyard serve --help` lists them", unknown.String())
	}
	return nil
}

// Resolve implements kong.Resolver.
func (s *fileSettings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	v, ok := s.values[flag.Name]
	if !ok {
		return nil, nil
	}
	if list, isList := v.([]any); isList { // kong reads lists in the form of a flag's value
		b, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		var words []string
		if err := json.Unmarshal(b, &words); err != nil {
			return nil, fmt.Errorf("setting %s: a list of texts is expected", flag.Name)
		}
		joined := ""
		for i, w := range words {
			if i > 0 {
				joined += ","
			}
			joined += w
		}
		return joined, nil
	}
	return v, nil
}
