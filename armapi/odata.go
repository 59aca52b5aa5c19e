package armapi

import (
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// Bounds on a $filter: clients send a handful of terms.
const (
	maxFilter      = 4096
	maxFilterDepth = 16
)

// odataFilter is a $filter: comparisons, the string functions of OData 2 and 4,
// not, and, or and parentheses. Values are compared without regard to case, as
// Resource Manager compares names.
type odataFilter struct {
	op       string // and | or | not | eq | ne | gt | ge | lt | le | contains | startswith | endswith
	children []*odataFilter
	field    string // lower case
	value    string
}

// parseOData reads a $filter. fields are the names it may speak of, in lower case.
func parseOData(text string, fields ...string) (*odataFilter, error) {
	if len(text) > maxFilter {
		return nil, arm.Errorf(arm.Invalid, "InvalidFilterInQueryString", "The $filter is longer than %d characters.", maxFilter).WithTarget("$filter")
	}
	p := &odataParser{rest: text, text: text, fields: fields}
	f, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.rest != "" {
		return nil, p.bad("unexpected '" + clip(p.rest) + "'")
	}
	return f, nil
}

// match reports whether an object passes. get gives a field's values; several are
// alternatives.
func (f *odataFilter) match(get func(field string) []string) bool {
	switch f.op {
	case "and":
		return f.children[0].match(get) && f.children[1].match(get)
	case "or":
		return f.children[0].match(get) || f.children[1].match(get)
	case "not":
		return !f.children[0].match(get)
	case "ne":
		return !f.compare("eq", get(f.field))
	}
	return f.compare(f.op, get(f.field))
}

func (f *odataFilter) compare(op string, values []string) bool {
	want := strings.ToLower(f.value)
	for _, v := range values {
		v = strings.ToLower(v)
		c := compareValues(v, want)
		if op == "eq" && c == 0 || op == "gt" && c > 0 || op == "ge" && c >= 0 || op == "lt" && c < 0 || op == "le" && c <= 0 ||
			op == "contains" && strings.Contains(v, want) || op == "startswith" && strings.HasPrefix(v, want) || op == "endswith" && strings.HasSuffix(v, want) {
			return true
		}
	}
	return false
}

// compareValues compares times as such, whatever their zones and fractions, and
// everything else as text.
func compareValues(a, b string) int {
	if len(a) >= len("2006-01-02") && a[0] >= '0' && a[0] <= '9' {
		at, err := arm.ParseTime(strings.ToUpper(a))
		bt, berr := arm.ParseTime(strings.ToUpper(b))
		if err == nil && berr == nil {
			return at.Compare(bt.Time)
		}
	}
	return strings.Compare(a, b)
}

// must is the value that every match has in field under op: a term that stands
// outside of any or, not or function.
func (f *odataFilter) must(field, op string) (string, bool) {
	switch f.op {
	case "and":
		if v, ok := f.children[0].must(field, op); ok {
			return v, true
		}
		return f.children[1].must(field, op)
	case op:
		if f.field == field {
			return f.value, true
		}
	}
	return "", false
}

type odataParser struct {
	rest   string
	text   string
	fields []string
}

func (p *odataParser) bad(why string) error {
	return arm.Errorf(arm.Invalid, "InvalidFilterInQueryString", "Invalid $filter '%s' specified in the query string: %s. Supported fields are '%s'.",
		clip(p.text), why, strings.Join(p.fields, ", ")).WithTarget("$filter")
}

func (p *odataParser) or(depth int) (*odataFilter, error) {
	return p.chain("or", depth, func() (*odataFilter, error) {
		return p.chain("and", depth, func() (*odataFilter, error) { return p.term(depth) })
	})
}

func (p *odataParser) chain(op string, depth int, next func() (*odataFilter, error)) (*odataFilter, error) {
	left, err := next()
	for err == nil && p.word(op) {
		if depth++; depth > maxFilterDepth {
			return nil, p.bad("too many terms")
		}
		var right *odataFilter
		right, err = next()
		left = &odataFilter{op: op, children: []*odataFilter{left, right}}
	}
	return left, err
}

func (p *odataParser) term(depth int) (*odataFilter, error) {
	if depth > maxFilterDepth {
		return nil, p.bad("too deep")
	}
	if p.word("not") {
		f, err := p.term(depth + 1)
		return &odataFilter{op: "not", children: []*odataFilter{f}}, err
	}
	if p.symbol("(") {
		f, err := p.or(depth + 1)
		if err == nil && !p.symbol(")") {
			err = p.bad("a ')' is missing")
		}
		return f, err
	}
	name := p.name()
	if name == "" {
		return nil, p.bad("a field or function is missing")
	}
	if p.symbol("(") {
		return p.function(name)
	}
	if !containsFold(p.fields, name) {
		return nil, p.bad("'" + clip(name) + "' cannot be filtered by")
	}
	op := strings.ToLower(p.name())
	switch op {
	case "eq", "ne", "gt", "ge", "lt", "le":
	default:
		return nil, p.bad("'" + clip(op) + "' is not an operator")
	}
	value, err := p.value()
	return &odataFilter{op: op, field: strings.ToLower(name), value: value}, err
}

// function reads substringof('x', field), contains(field, 'x') and their like; what
// stands first in the one stands last in the others.
func (p *odataParser) function(name string) (*odataFilter, error) {
	f := &odataFilter{op: strings.ToLower(name)}
	var err error
	first := func() { f.field = strings.ToLower(p.name()) }
	second := func() { f.value, err = p.value() }
	switch f.op {
	case "substringof":
		f.op, first, second = "contains", second, first
	case "contains", "startswith", "endswith":
	default:
		return nil, p.bad("'" + clip(name) + "' is not a function")
	}
	first()
	if err == nil && !p.symbol(",") {
		err = p.bad("a ',' is missing")
	}
	if err != nil {
		return nil, err
	}
	second()
	switch {
	case err != nil:
	case !p.symbol(")"):
		err = p.bad("a ')' is missing")
	case !containsFold(p.fields, f.field):
		err = p.bad("'" + clip(f.field) + "' cannot be filtered by")
	}
	return f, err
}

func (p *odataParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *odataParser) symbol(s string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, s)
	p.rest = rest
	return ok
}

// word takes a keyword that ends where a name would.
func (p *odataParser) word(w string) bool {
	before := p.rest
	if strings.EqualFold(p.name(), w) {
		return true
	}
	p.rest = before
	return false
}

func (p *odataParser) name() string {
	p.space()
	end := strings.IndexFunc(p.rest, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '/' || r == '.' || r == '$')
	})
	if end < 0 {
		end = len(p.rest)
	}
	name := p.rest[:end]
	p.rest = p.rest[end:]
	return name
}

// value reads 'quoted text', in which a quote is written twice, or a bare word such
// as a number, true or a time.
func (p *odataParser) value() (string, error) {
	p.space()
	if !strings.HasPrefix(p.rest, "'") {
		end := strings.IndexAny(p.rest, " ,)")
		if end < 0 {
			end = len(p.rest)
		}
		v := p.rest[:end]
		if p.rest = p.rest[end:]; v == "" {
			return "", p.bad("a value is missing")
		}
		return v, nil
	}
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch {
		case p.rest[i] != '\'':
			b.WriteByte(p.rest[i])
		case i+1 < len(p.rest) && p.rest[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			p.rest = p.rest[i+1:]
			return b.String(), nil
		}
	}
	return "", p.bad("a quote is not closed")
}
