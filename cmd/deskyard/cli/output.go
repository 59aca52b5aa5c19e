package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jmespath/go-jmespath"
)

// column is one column of a command's table: a title and where its value stands.
type column struct {
	title string
	path  string // JMESPath, on the flattened object
}

// cols makes columns from "Title=path" pairs; a lone "title" is its own path.
func cols(specs ...string) []column {
	all := make([]column, len(specs))
	for i, s := range specs {
		title, path, ok := strings.Cut(s, "=")
		if !ok {
			path = strings.ToLower(title[:1]) + title[1:]
		}
		all[i] = column{title, path}
	}
	return all
}

// printer renders answers.
type printer struct {
	out    io.Writer
	format string // table | json | jsonc | tsv | none
	query  string
}

// print renders v, which is decoded JSON. columns are the table's when no --query
// reshapes the answer.
func (p *printer) print(v any, columns []column) error {
	if p.query != "" {
		plain := plainNumbers(v)
		found, err := jmespath.Search(p.query, plain)
		if err != nil {
			return usagef("--query %s: %v", p.query, err)
		}
		v, columns = found, nil
	}
	switch p.format {
	case "none":
		return nil
	case "tsv":
		return p.tsv(v)
	case "table":
		return p.table(v, columns)
	}
	if v == nil && p.query == "" {
		return nil // a command without an answer says nothing
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	text := buf.Bytes()
	if p.format == "jsonc" {
		text = colour(text)
	}
	_, err := p.out.Write(text)
	return err
}

// plainNumbers turns json.Number into float64, which is what JMESPath compares.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = plainNumbers(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plainNumbers(e)
		}
		return out
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return f
		}
	}
	return v
}

// tsv prints a row a line: an object's values in the order of the query, a list's
// as they stand, a scalar as it is.
func (p *printer) tsv(v any) error {
	rows, isList := v.([]any)
	if !isList {
		rows = []any{v}
	}
	var b strings.Builder
	for _, row := range rows {
		switch row := row.(type) {
		case map[string]any:
			for i, k := range p.keys(row) {
				if i > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(cell(row[k]))
			}
		case []any:
			for i, e := range row {
				if i > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(cell(e))
			}
		case nil:
			if !isList {
				continue
			}
		default:
			b.WriteString(cell(row))
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// cell is a value in one line.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		// One line, and nothing that a terminal would obey: names are others' input.
		return strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, v)
	case bool:
		if v {
			return "True" // as az prints them
		}
		return "False"
	case []any:
		return fmt.Sprint(len(v))
	case map[string]any:
		return ""
	case float64:
		return strings.TrimSuffix(fmt.Sprintf("%.6f", v), ".000000")
	}
	return fmt.Sprint(v)
}

// memberPattern finds the names in a multi-select hash: {Name:name,State:status}.
var memberPattern = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_]*|"[^"]+")\s*:`)

// keys orders an object's members: as the query names them, the rest by name. A
// decoded object has lost its order.
func (p *printer) keys(object map[string]any) []string {
	place := map[string]int{}
	for i, m := range memberPattern.FindAllStringSubmatch(p.query, -1) {
		name := strings.Trim(m[1], `"`)
		if _, seen := place[name]; !seen {
			place[name] = i
		}
	}
	keys := slices.Sorted(maps.Keys(object))
	slices.SortStableFunc(keys, func(a, b string) int {
		i, named1 := place[a]
		j, named2 := place[b]
		switch {
		case named1 && named2:
			return i - j
		case named1:
			return -1
		case named2:
			return 1
		}
		return 0
	})
	return keys
}

// table prints titles, a rule and a line each.
func (p *printer) table(v any, columns []column) error {
	rows, isList := v.([]any)
	if !isList && v != nil {
		rows = []any{v}
	}
	if len(rows) == 0 {
		return nil
	}
	var titles []string
	var lines [][]string
	for _, row := range rows {
		names, values, err := p.line(row, columns)
		if err != nil {
			return err
		}
		if titles == nil {
			titles = names
		}
		lines = append(lines, values)
	}
	_, err := io.WriteString(p.out, align(titles, lines))
	return err
}

func (p *printer) line(row any, columns []column) (titles, values []string, err error) {
	if columns != nil {
		for _, c := range columns {
			v, err := jmespath.Search(c.path, plainNumbers(row))
			if err != nil {
				return nil, nil, fmt.Errorf("column %s: %w", c.title, err)
			}
			titles, values = append(titles, c.title), append(values, cell(v))
		}
		return titles, values, nil
	}
	switch row := row.(type) {
	case map[string]any:
		for _, k := range p.keys(row) {
			if _, isObject := row[k].(map[string]any); isObject {
				continue
			}
			titles, values = append(titles, strings.ToUpper(k[:1])+k[1:]), append(values, cell(row[k]))
		}
	case []any:
		for i, e := range row {
			titles, values = append(titles, fmt.Sprintf("Column%d", i+1)), append(values, cell(e))
		}
	default:
		titles, values = []string{"Result"}, []string{cell(row)}
	}
	return titles, values, nil
}

func align(titles []string, lines [][]string) string {
	width := make([]int, len(titles))
	rule := make([]string, len(titles))
	for _, line := range append([][]string{titles}, lines...) {
		for i := range min(len(line), len(width)) {
			width[i] = max(width[i], utf8.RuneCountInString(line[i]))
		}
	}
	for i, w := range width {
		rule[i] = strings.Repeat("-", w)
	}
	var b strings.Builder
	for _, line := range append([][]string{titles, rule}, lines...) {
		var l strings.Builder
		for i := range min(len(line), len(width)) {
			if i > 0 {
				l.WriteString("  ")
			}
			l.WriteString(line[i] + strings.Repeat(" ", width[i]-utf8.RuneCountInString(line[i])))
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	return b.String()
}

// jsonWord finds strings, whether a colon follows, and literals.
var jsonWord = regexp.MustCompile(`("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b`)

// colour paints JSON for a terminal: names blue, strings yellow, the rest cyan.
func colour(text []byte) []byte {
	return jsonWord.ReplaceAllFunc(text, func(word []byte) []byte {
		paint := "36"
		if word[0] == '"' {
			paint = "33"
			if word[len(word)-1] == ':' {
				paint = "34"
			}
		}
		return []byte("\x1b[" + paint + "m" + string(word) + "\x1b[0m")
	})
}

// flatten shows a resource as az does: the members of properties stand beside the
// envelope's, and resourceGroup is told from the id. A member that both have keeps
// the envelope's value.
func flatten(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = flatten(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v)+8)
		if props, ok := v["properties"].(map[string]any); ok {
			maps.Copy(out, props)
		}
		for k, e := range v {
			if k != "properties" {
				out[k] = e
			}
		}
		if id, ok := v["id"].(string); ok {
			if group := groupOf(id); group != "" {
				out["resourceGroup"] = group
			}
		}
		return out
	}
	return v
}

// groupOf is the resource group in an id.
func groupOf(id string) string {
	parts := strings.Split(id, "/")
	if len(parts) > 4 && strings.EqualFold(parts[3], "resourceGroups") {
		return parts[4]
	}
	return ""
}
