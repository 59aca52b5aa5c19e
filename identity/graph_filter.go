package identity

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/deskyard/deskyard/arm"
)

// Bounds of a $filter: az's longest names fifteen ids.
const (
	maxFilter      = 4096
	maxFilterDepth = 16
)

// attributes gives the values of a property: text compares without regard to case,
// as in Graph; a single-valued property has one value, true and false are "true"
// and "false". ok is false for a property that cannot be filtered by.
type attributes func(property string) (values []string, ok bool)

// filter is a parsed $filter.
type filter struct {
	op    string // and or not eq ne in startswith any
	left  *filter
	right *filter
	prop  string
	args  []string
}

// parseFilter reads the part of OData's language that Graph's clients use: and, or,
// not, parentheses, eq, ne, in, startswith and any. An empty text is no filter.
func parseFilter(text string, known attributes) (*filter, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if len(text) > maxFilter || !utf8.ValidString(text) {
		return nil, unsupportedFilter("it is longer than %d bytes, or not UTF-8", maxFilter)
	}
	tokens, err := filterTokens(text)
	if err != nil {
		return nil, err
	}
	p := &filterParser{tokens: tokens, known: known}
	f, err := p.either(0)
	if err == nil && p.peek() != "" {
		err = unsupportedFilter("unexpected '%s'", clip(p.peek()))
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// matches evaluates the filter; a nil filter matches all.
func (f *filter) matches(of attributes) bool {
	if f == nil {
		return true
	}
	switch f.op {
	case "and":
		return f.left.matches(of) && f.right.matches(of)
	case "or":
		return f.left.matches(of) || f.right.matches(of)
	case "not":
		return !f.left.matches(of)
	}
	values, _ := of(f.prop)
	return slices.ContainsFunc(values, func(v string) bool {
		if f.op == "startswith" {
			return strings.HasPrefix(strings.ToLower(v), strings.ToLower(f.args[0]))
		}
		return slices.ContainsFunc(f.args, func(a string) bool { return strings.EqualFold(a, v) })
	}) != (f.op == "ne")
}

// equals gives the one value that the filter demands of a property, if it is
// nothing but that: such a row is looked up instead of searched for.
func (f *filter) equals(property string) (string, bool) {
	if f != nil && (f.op == "eq" || f.op == "any") && strings.EqualFold(f.prop, property) {
		return f.args[0], true
	}
	return "", false
}

func unsupportedFilter(format string, args ...any) *arm.Error {
	e := badRequest("$filter", format, args...)
	e.Code, e.Message = "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified: "+e.Message+"."
	return e
}

// filterTokens splits the text into words, punctuation and quoted strings; a quoted
// string keeps its opening quote to tell it from a word.
func filterTokens(text string) ([]string, error) {
	var tokens []string
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case strings.IndexByte("(),:", c) >= 0:
			tokens = append(tokens, text[i:i+1])
			i++
		case c == '\'':
			value, n, ok := quoted(text[i:])
			if !ok {
				return nil, unsupportedFilter("a string is not closed")
			}
			tokens = append(tokens, "'"+value)
			i += n
		default:
			n := strings.IndexAny(text[i:], " \t\r\n(),:'")
			if n < 0 {
				n = len(text) - i
			}
			tokens = append(tokens, text[i:i+n])
			i += n
		}
	}
	return tokens, nil
}

// quoted reads a string in single quotes; two of them inside stand for one.
func quoted(s string) (value string, n int, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return b.String(), i + 1, true
	}
	return "", 0, false
}

type filterParser struct {
	tokens []string
	known  attributes
}

func (p *filterParser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *filterParser) next() string {
	t := p.peek()
	if t != "" {
		p.tokens = p.tokens[1:]
	}
	return t
}

// accept takes the next token if it is the given word, in any case.
func (p *filterParser) accept(word string) bool {
	if strings.EqualFold(p.peek(), word) {
		p.next()
		return true
	}
	return false
}

func (p *filterParser) expect(words ...string) error {
	for _, w := range words {
		if !p.accept(w) {
			return unsupportedFilter("expected '%s' instead of '%s'", w, clip(p.peek()))
		}
	}
	return nil
}

func (p *filterParser) either(depth int) (*filter, error) {
	f, err := p.both(depth)
	for err == nil && p.accept("or") {
		var right *filter
		right, err = p.both(depth)
		f = &filter{op: "or", left: f, right: right}
	}
	return f, err
}

func (p *filterParser) both(depth int) (*filter, error) {
	f, err := p.single(depth)
	for err == nil && p.accept("and") {
		var right *filter
		right, err = p.single(depth)
		f = &filter{op: "and", left: f, right: right}
	}
	return f, err
}

func (p *filterParser) single(depth int) (*filter, error) {
	if depth > maxFilterDepth {
		return nil, unsupportedFilter("it is nested more than %d deep", maxFilterDepth)
	}
	switch {
	case p.accept("not"):
		f, err := p.single(depth + 1)
		return &filter{op: "not", left: f}, err
	case p.accept("("):
		f, err := p.either(depth + 1)
		if err == nil {
			err = p.expect(")")
		}
		return f, err
	case p.accept("startswith"):
		return p.startsWith()
	}
	prop := p.next()
	if name, ok := cutSuffixFold(prop, "/any"); ok {
		return p.anyOf(name)
	}
	if err := p.knows(prop); err != nil {
		return nil, err
	}
	return p.comparison(prop)
}

// startsWith reads "(displayName,'x')".
func (p *filterParser) startsWith() (*filter, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	f := &filter{op: "startswith", prop: p.next()}
	if err := p.knows(f.prop); err != nil {
		return nil, err
	}
	if err := p.expect(","); err != nil {
		return nil, err
	}
	value, err := p.value()
	if err == nil {
		err = p.expect(")")
	}
	f.args = []string{value}
	return f, err
}

// anyOf reads "(c:c eq 'x')".
func (p *filterParser) anyOf(prop string) (*filter, error) {
	if err := p.knows(prop); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	variable := p.next()
	if variable == "" || strings.HasPrefix(variable, "'") {
		return nil, unsupportedFilter("any needs a variable")
	}
	if err := p.expect(":", variable, "eq"); err != nil {
		return nil, err
	}
	value, err := p.value()
	if err == nil {
		err = p.expect(")")
	}
	return &filter{op: "any", prop: prop, args: []string{value}}, err
}

func (p *filterParser) comparison(prop string) (*filter, error) {
	op := strings.ToLower(p.next())
	switch op {
	case "eq", "ne":
		value, err := p.value()
		return &filter{op: op, prop: prop, args: []string{value}}, err
	case "in":
		f := &filter{op: op, prop: prop}
		if err := p.expect("("); err != nil {
			return nil, err
		}
		for {
			value, err := p.value()
			if err != nil {
				return nil, err
			}
			f.args = append(f.args, value)
			if !p.accept(",") {
				return f, p.expect(")")
			}
		}
	}
	return nil, unsupportedFilter("the operator '%s' is not known", clip(op))
}

// value reads a quoted string, true, false, or a bare GUID.
func (p *filterParser) value() (string, error) {
	t := p.next()
	if v, ok := strings.CutPrefix(t, "'"); ok {
		return v, nil
	}
	if strings.EqualFold(t, "true") || strings.EqualFold(t, "false") || isGUID(t) {
		return strings.ToLower(t), nil
	}
	return "", unsupportedFilter("expected a value instead of '%s'", clip(t))
}

func (p *filterParser) knows(prop string) error {
	if _, ok := p.known(prop); !ok {
		return unsupportedFilter("the property '%s' cannot be filtered by", clip(prop))
	}
	return nil
}

func cutSuffixFold(s, suffix string) (string, bool) {
	n := len(s) - len(suffix)
	if n > 0 && strings.EqualFold(s[n:], suffix) {
		return s[:n], true
	}
	return s, false
}
