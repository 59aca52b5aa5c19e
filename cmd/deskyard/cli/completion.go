package cli

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

//go:embed completion
var completionScripts embed.FS

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints the script. It asks the program itself for candidates, so it fits every
// version.
func (c *completionCommand) Run(k *kong.Context) error {
	script, err := completionScripts.ReadFile("completion/deskyard." + c.Shell)
	if err != nil {
		return fmt.Errorf("read the completion script: %w", err)
	}
	_, err = k.Stdout.Write(script)
	return err
}

type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:"" help:"The words behind the program's name; the last one is being typed."`
}

// Run prints what may stand at the place of the last word, one candidate a line.
func (c *completeCommand) Run(k *kong.Context) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	for _, candidate := range candidates(k.Model.Node, words) {
		if _, err := fmt.Fprintln(k.Stdout, candidate); err != nil {
			return err
		}
	}
	return nil
}

// candidates completes the last of words below root.
func candidates(root *kong.Node, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	node := root
	var last *kong.Flag // the flag whose value may follow
	flags := slices.Clone(root.Flags)
	for _, w := range words[:len(words)-1] {
		if strings.HasPrefix(w, "-") {
			last = findFlag(flags, w)
			continue
		}
		if last != nil {
			if !takesMany(last) {
				last = nil
			}
			continue
		}
		if child := findCommand(node, w); child != nil {
			node = child
			flags = append(flags, child.Flags...)
		}
	}
	return offer(node, flags, last, words[len(words)-1])
}

func offer(node *kong.Node, flags []*kong.Flag, last *kong.Flag, typed string) []string {
	var out []string
	add := func(s string) {
		if strings.HasPrefix(strings.ToLower(s), strings.ToLower(typed)) {
			out = append(out, s)
		}
	}
	switch {
	case last != nil && !strings.HasPrefix(typed, "-"):
		for _, v := range valuesOf(last.Value) {
			add(v)
		}
	case strings.HasPrefix(typed, "-"):
		for _, f := range flags {
			if !f.Hidden {
				add("--" + f.Name)
			}
		}
	default:
		for _, child := range node.Children {
			if !child.Hidden && child.Type == kong.CommandNode {
				add(child.Name)
			}
		}
		for _, p := range node.Positional {
			for _, v := range valuesOf(p) {
				add(v)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// valuesOf are the values that an argument is known to take.
func valuesOf(v *kong.Value) []string {
	if c := choicesOf(v); c != nil {
		return c
	}
	if v.Enum != "" {
		return strings.Split(v.Enum, ",")
	}
	if v.Target.IsValid() && v.Target.Type().Name() == "toggle" {
		return []string{"true", "false"}
	}
	return nil
}

func takesMany(f *kong.Flag) bool {
	return f.Target.IsValid() && f.Target.Type().Name() == "words"
}

// findFlag is the flag of a word, when a value of it may follow.
func findFlag(flags []*kong.Flag, word string) *kong.Flag {
	name := strings.TrimLeft(word, "-")
	if strings.Contains(name, "=") {
		return nil
	}
	for _, f := range flags {
		short := !strings.HasPrefix(word, "--")
		if (!short && (f.Name == name || slices.Contains(f.Aliases, name))) || (short && f.Short != 0 && string(f.Short) == name) {
			if f.IsBool() {
				return nil
			}
			return f
		}
	}
	return nil
}

func findCommand(node *kong.Node, word string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == word || slices.Contains(child.Aliases, word) {
			return child
		}
	}
	return nil
}
