package template

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of one expression: the length is ARM's documented limit.
const (
	maxExpression      = 24576 // characters
	maxExpressionDepth = 100   // nesting of calls and indices
)

// expr is a parsed expression: a literal, a call, or access to a part of a base.
type expr struct {
	op   exprOp
	off  int     // byte offset in the string that holds the expression
	val  Value   // literal
	name string  // function (with "namespace." for a user's) or property
	args []*expr // call: arguments; index: the one key
	base *expr   // property, index: what is accessed
	safe bool    // .?name and [?key]: null where the part is absent
	fn   *function
}

type exprOp uint8

const (
	opLiteral exprOp = iota
	opCall
	opProperty
	opIndex
)

// isExpression reports whether ARM evaluates a string: "[...]", but not "[[...]".
func isExpression(s string) bool {
	return len(s) >= 2 && s[0] == '[' && s[len(s)-1] == ']' && s[1] != '['
}

// unescape is the string that a literal stands for: "[[x]" is "[x]".
func unescape(s string) string {
	if len(s) >= 3 && s[0] == '[' && s[1] == '[' && s[len(s)-1] == ']' {
		return s[1:]
	}
	return s
}

// faultAt is an error at an offset of the expression's string.
type faultAt struct {
	off int
	msg string
}

func (f *faultAt) Error() string { return f.msg }

// parseExpression parses a string for which isExpression holds. Unknown functions
// are its business too: a template that names one is wrong wherever it stands.
func parseExpression(s string) (*expr, error) {
	if len(s) > maxExpression && utf8.RuneCountInString(s) > maxExpression {
		return nil, &faultAt{0, fmt.Sprintf("the expression is longer than %d characters", maxExpression)}
	}
	p := &parser{src: s[:len(s)-1], at: 1}
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	p.space()
	if p.at < len(p.src) {
		return nil, p.fault("expected the end of the expression and found %s", p.here())
	}
	return e, nil
}

type parser struct {
	src   string
	at    int
	depth int
}

func (p *parser) fault(format string, args ...any) error {
	return &faultAt{p.at, "the expression cannot be parsed: " + fmt.Sprintf(format, args...)}
}

func (p *parser) here() string {
	if p.at >= len(p.src) {
		return "its end"
	}
	r, _ := utf8.DecodeRuneInString(p.src[p.at:])
	return strconv.QuoteRune(r)
}

func (p *parser) space() {
	for p.at < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.at]) >= 0 {
		p.at++
	}
}

// peek skips blanks and reports whether c is next.
func (p *parser) peek(c byte) bool {
	p.space()
	return p.at < len(p.src) && p.src[p.at] == c
}

func (p *parser) take(c byte) bool {
	if p.peek(c) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expression() (*expr, error) {
	if p.depth++; p.depth > maxExpressionDepth {
		return nil, p.fault("it is nested deeper than %d levels", maxExpressionDepth)
	}
	defer func() { p.depth-- }()
	e, err := p.primary()
	for err == nil {
		var more bool
		if e, more, err = p.access(e); !more {
			break
		}
	}
	return e, err
}

func (p *parser) primary() (*expr, error) {
	p.space()
	if p.at >= len(p.src) {
		return nil, p.fault("a value is missing at its end")
	}
	switch c := p.src[p.at]; {
	case c == '\'':
		return p.text()
	case c == '-' || c == '+' || c >= '0' && c <= '9':
		return p.integer()
	case isIdentStart(c):
		return p.call()
	}
	return nil, p.fault("unexpected %s", p.here())
}

// text reads 'it”s'.
func (p *parser) text() (*expr, error) {
	e := &expr{op: opLiteral, off: p.at}
	var b strings.Builder
	for p.at++; p.at < len(p.src); p.at++ {
		if p.src[p.at] != '\'' {
			b.WriteByte(p.src[p.at])
			continue
		}
		if p.at+1 >= len(p.src) || p.src[p.at+1] != '\'' {
			p.at++
			e.val = String(b.String())
			return e, nil
		}
		b.WriteByte('\'')
		p.at++
	}
	return nil, &faultAt{e.off, "the expression cannot be parsed: a string has no closing quote"}
}

func (p *parser) integer() (*expr, error) {
	e := &expr{op: opLiteral, off: p.at}
	p.at++
	for p.at < len(p.src) && (isIdentStart(p.src[p.at]) || p.src[p.at] >= '0' && p.src[p.at] <= '9') {
		p.at++
	}
	i, err := strconv.ParseInt(p.src[e.off:p.at], 10, 64)
	if err != nil {
		return nil, &faultAt{e.off, fmt.Sprintf("the expression cannot be parsed: %q is not a whole number", p.src[e.off:p.at])}
	}
	e.val = Int(i)
	return e, nil
}

func isIdentStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (p *parser) ident() string {
	start := p.at
	for p.at < len(p.src) && (isIdentStart(p.src[p.at]) || p.at > start && (p.src[p.at] >= '0' && p.src[p.at] <= '9')) {
		p.at++
	}
	return p.src[start:p.at]
}

// call reads name(args) or namespace.name(args).
func (p *parser) call() (*expr, error) {
	e := &expr{op: opCall, off: p.at}
	e.name = p.ident()
	if p.peek('.') {
		p.at++
		p.space()
		member := p.ident()
		if member == "" {
			return nil, p.fault("a function's name is missing after '%s.'", e.name)
		}
		e.name += "." + member
	} else if e.fn = functionNamed(e.name); e.fn == nil {
		return nil, &faultAt{e.off, fmt.Sprintf("the template function '%s' is not valid", e.name)}
	}
	if !p.take('(') {
		return nil, p.fault("expected '(' after '%s' and found %s", e.name, p.here())
	}
	if p.take(')') {
		return e, e.countArgs()
	}
	for {
		arg, err := p.expression()
		if err != nil {
			return nil, err
		}
		e.args = append(e.args, arg)
		if p.take(')') {
			return e, e.countArgs()
		}
		if !p.take(',') {
			return nil, p.fault("expected ',' or ')' and found %s", p.here())
		}
	}
}

// countArgs checks the number of arguments of a built-in function.
func (e *expr) countArgs() error {
	if e.fn == nil || len(e.args) >= e.fn.min && (len(e.args) <= e.fn.max || e.fn.max < 0) {
		return nil
	}
	want := strconv.Itoa(e.fn.min)
	switch {
	case e.fn.max < 0:
		want = "at least " + want
	case e.fn.max != e.fn.min:
		want = fmt.Sprintf("%d to %d", e.fn.min, e.fn.max)
	}
	return &faultAt{e.off, fmt.Sprintf("the template language function '%s' expects %s argument(s) and was given %d", e.name, want, len(e.args))}
}

// access reads one .name, .?name, [key] or [?key] behind base.
func (p *parser) access(base *expr) (e *expr, more bool, err error) {
	e = &expr{base: base, off: p.at}
	switch {
	case p.take('.'):
		e.op, e.safe = opProperty, p.take('?')
		p.space()
		if e.name = p.ident(); e.name == "" {
			return nil, false, p.fault("expected a property's name and found %s", p.here())
		}
	case p.take('['):
		e.op, e.safe = opIndex, p.take('?')
		key, err := p.expression()
		if err != nil {
			return nil, false, err
		}
		e.args = []*expr{key}
		if !p.take(']') {
			return nil, false, p.fault("expected ']' and found %s", p.here())
		}
	default:
		return base, false, nil
	}
	return e, true, nil
}

// walk calls f for e and every expression in it until f returns false.
func (e *expr) walk(f func(*expr) bool) bool {
	if e == nil {
		return true
	}
	if !f(e) || !e.base.walk(f) {
		return false
	}
	for _, a := range e.args {
		if !a.walk(f) {
			return false
		}
	}
	return true
}

// needsRuntime reports whether e asks for the state of deployed resources.
func (e *expr) needsRuntime() bool {
	return !e.walk(func(x *expr) bool { return x.fn == nil || !x.fn.runtime })
}
