package cli

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/alecthomas/kong"
)

// overviewCommand counts what the caller may read.
type overviewCommand struct {
	options
}

var overviewColumns = cols("What=what", "Count=count")

// Run shows the counts: as a table a line each, elsewhere as the service answers them.
func (c *overviewCommand) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := s.subscriptionPath(ctx, "overview")
		if err != nil {
			return err
		}
		resp, err := s.do(ctx, request{method: http.MethodGet, path: path, version: desktopVersion})
		if err != nil {
			return err
		}
		counts, ok := resp.body.(map[string]any)
		if !ok || s.out.format != "table" || s.out.query != "" {
			return s.show(resp.body, overviewColumns)
		}
		return s.out.print(countLines("", counts), overviewColumns)
	})
}

// countLines are nested counts as rows, each named by the way to it. What the caller
// may not read is null, and says so.
func countLines(prefix string, counts map[string]any) []any {
	var lines []any
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		switch v := counts[name].(type) {
		case map[string]any:
			lines = append(lines, countLines(prefix+name+".", v)...)
		case nil:
			lines = append(lines, map[string]any{"what": prefix + name, "count": "not readable"})
		default:
			lines = append(lines, map[string]any{"what": prefix + name, "count": fmt.Sprint(v)})
		}
	}
	return lines
}
