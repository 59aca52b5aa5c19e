package cli

import (
	"context"
	"testing"

	"github.com/alecthomas/kong"
)

// program is the root that tests parse with.
type program struct {
	Commands
}

func newParser(t testing.TB, root *program, opts ...kong.Option) *kong.Kong {
	t.Helper()
	opts = append([]kong.Option{kong.Name("deskyard"), kong.BindTo(context.Background(), (*context.Context)(nil)), kong.Exit(func(int) { t.Helper(); t.Fatal("kong exited") })}, opts...)
	parser, err := kong.New(root, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

func TestEveryCommandHasHelpAndRuns(t *testing.T) {
	parser := newParser(t, &program{})
	leaves := 0
	for _, leaf := range parser.Model.Leaves(false) {
		leaves++
		if leaf.Help == "" {
			t.Errorf("%s has no help", leaf.FullPath())
		}
		if !leaf.Target.Addr().MethodByName("Run").IsValid() {
			t.Errorf("%s has no Run", leaf.FullPath())
		}
		for _, f := range leaf.Flags {
			if f.Help == "" {
				t.Errorf("%s --%s has no help", leaf.FullPath(), f.Name)
			}
		}
	}
	if leaves < 60 {
		t.Errorf("the program has %d commands; are some of them lost?", leaves)
	}
}
