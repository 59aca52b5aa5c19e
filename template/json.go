package template

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of what the reader takes. ARM's documented limit on a template is 4 MB
// and on its nesting none; the caller bounds the bytes, these bound the rest.
const (
	maxDepth  = 100     // nesting of arrays and objects
	maxValues = 1 << 20 // values in one document: they cost more memory than bytes
)

// ReadJSON reads one document leniently, as ARM reads templates: beside JSON it
// takes // and /* */ comments, member names without quotes, strings in single
// quotes and strings that run over lines. Two members whose names differ in nothing but case are refused.
// Its errors are *Error with the line and column.
func ReadJSON(src []byte) (Value, error) { return readJSON(src, nil) }

// readJSON reads src; places within the member at the path of origin count from
// that member's colon, so that they are those of the file pasted in there.
func readJSON(src []byte, origin []string) (Value, error) {
	r := &reader{src: src, line: 1, origin: origin, base: Pos{1, 1}}
	v, err := r.document()
	if err != nil {
		return Value{}, err
	}
	return v, nil
}

// reader walks the bytes once, keeping count of lines.
type reader struct {
	src      []byte
	at       int
	line     int // of src[at], from 1
	column   int // of src[columnAt], from 0: pos counts on from there, so that a body of one line costs no more than one of many
	columnAt int
	base     Pos // what counts as line 1, column 1
	origin   []string
	path     []string
	values   int
}

func (r *reader) document() (Value, error) {
	v, err := r.value()
	if err != nil {
		return v, err
	}
	if err := r.space(); err != nil {
		return v, err
	}
	if r.at < len(r.src) {
		return v, r.fault("unexpected %s after the end of the document", r.here())
	}
	return v, nil
}

func (r *reader) pos() Pos {
	column := r.rawColumn()
	if r.line == r.base.Line {
		column -= r.base.Column - 1
	}
	return Pos{r.line - r.base.Line + 1, column}
}

func (r *reader) fault(format string, args ...any) *Error {
	p := r.pos()
	path := strings.Join(r.path, ".")
	return &Error{Code: CodeInvalidContent, Pos: p, Path: path, Message: fmt.Sprintf(
		"The request content was invalid and could not be deserialized: '%s. Path '%s', line %d, position %d.'.",
		fmt.Sprintf(format, args...), path, p.Line, p.Column)}
}

// here names the byte at hand for messages.
func (r *reader) here() string {
	if r.at >= len(r.src) {
		return "end of text"
	}
	c, _ := utf8.DecodeRune(r.src[r.at:])
	return strconv.QuoteRune(c)
}

func (r *reader) newline() {
	r.line++
	r.column, r.columnAt = 0, r.at+1
}

// rawColumn is the column in the whole text, from 1.
func (r *reader) rawColumn() int {
	if r.at > r.columnAt {
		r.column += utf8.RuneCount(r.src[r.columnAt:r.at])
		r.columnAt = r.at
	}
	return r.column + 1
}

// space skips blanks, comments and a byte order mark.
func (r *reader) space() error {
	for r.at < len(r.src) {
		rest := r.src[r.at:]
		switch c := rest[0]; {
		case c == '\n':
			r.newline()
			r.at++
		case c == ' ' || c == '\t' || c == '\r':
			r.at++
		case len(rest) >= 3 && string(rest[:3]) == "\ufeff":
			r.at += 3
		case c == '/' && len(rest) > 1 && rest[1] == '/':
			for r.at < len(r.src) && r.src[r.at] != '\n' {
				r.at++
			}
		case c == '/' && len(rest) > 1 && rest[1] == '*':
			if !r.blockComment() {
				return r.fault("a comment that begins with /* has no end")
			}
		default:
			return nil
		}
	}
	return nil
}

func (r *reader) blockComment() bool {
	for r.at += 2; r.at < len(r.src); r.at++ {
		switch {
		case r.src[r.at] == '\n':
			r.newline()
		case r.src[r.at] == '*' && r.at+1 < len(r.src) && r.src[r.at+1] == '/':
			r.at += 2
			return true
		}
	}
	return false
}

func (r *reader) value() (Value, error) {
	if err := r.space(); err != nil {
		return Value{}, err
	}
	if r.values++; r.values > maxValues {
		return Value{}, r.fault("the document has more than %d values", maxValues)
	}
	if r.at >= len(r.src) {
		return Value{}, r.fault("unexpected end of text; a value is missing")
	}
	p := r.pos()
	switch c := r.src[r.at]; {
	case c == '{':
		v, err := r.object()
		return v.At(p), err
	case c == '[':
		v, err := r.array()
		return v.At(p), err
	case c == '"' || c == '\'':
		s, err := r.str()
		return String(s).At(p), err
	case c == '-' || c >= '0' && c <= '9':
		v, err := r.number()
		return v.At(p), err
	}
	for _, w := range []struct {
		word string
		v    Value
	}{{"true", Bool(true)}, {"false", Bool(false)}, {"null", Null()}} {
		if strings.HasPrefix(string(r.src[r.at:min(len(r.src), r.at+6)]), w.word) &&
			(r.at+len(w.word) == len(r.src) || !isNameByte(r.src[r.at+len(w.word)])) {
			r.at += len(w.word)
			return w.v.At(p), nil
		}
	}
	return Value{}, r.fault("unexpected %s where a value should begin", r.here())
}

func (r *reader) enter(name string) error {
	if len(r.path) >= maxDepth {
		return r.fault("the document is nested deeper than %d levels", maxDepth)
	}
	r.path = append(r.path, name)
	return nil
}

func (r *reader) leave() { r.path = r.path[:len(r.path)-1] }

func (r *reader) array() (Value, error) {
	var items []Value
	r.at++
	for {
		if err := r.space(); err != nil {
			return Value{}, err
		}
		if r.at < len(r.src) && r.src[r.at] == ']' && items == nil {
			r.at++
			return Array(), nil
		}
		if err := r.enter(strconv.Itoa(len(items))); err != nil {
			return Value{}, err
		}
		v, err := r.value()
		if err != nil {
			return Value{}, err
		}
		r.leave()
		items = append(items, v)
		if done, err := r.separator(']'); done || err != nil {
			return Array(items...), err
		}
	}
}

// separator reads a comma, or the closing byte and says so.
func (r *reader) separator(closing byte) (done bool, err error) {
	if err := r.space(); err != nil {
		return false, err
	}
	if r.at < len(r.src) && (r.src[r.at] == ',' || r.src[r.at] == closing) {
		r.at++
		return r.src[r.at-1] == closing, nil
	}
	return false, r.fault("unexpected %s where a comma or %q is needed", r.here(), closing)
}

func (r *reader) object() (Value, error) {
	o := NewObject()
	r.at++
	for {
		if err := r.space(); err != nil {
			return Value{}, err
		}
		if r.at < len(r.src) && r.src[r.at] == '}' && o.Len() == 0 {
			r.at++
			return Of(o), nil
		}
		m, err := r.member(o)
		if err != nil {
			return Value{}, err
		}
		o.add(m)
		if done, err := r.separator('}'); done || err != nil {
			return Of(o), err
		}
	}
}

func (r *reader) member(o *Object) (Member, error) {
	m := Member{Pos: r.pos()}
	var err error
	if m.Name, err = r.name(); err != nil {
		return m, err
	}
	if _, dup := o.Get(m.Name); dup {
		return m, r.fault("the object has two members named '%s'", m.Name)
	}
	if err := r.enter(m.Name); err != nil {
		return m, err
	}
	if err := r.space(); err != nil {
		return m, err
	}
	if r.at >= len(r.src) || r.src[r.at] != ':' {
		return m, r.fault("unexpected %s where a colon is needed", r.here())
	}
	r.at++
	if !r.atOrigin() {
		m.Value, err = r.value()
	} else {
		base := r.base
		r.base = Pos{r.line, r.rawColumn()}
		m.Value, err = r.value()
		r.base = base
	}
	if err == nil {
		r.leave()
	}
	return m, err
}

func (r *reader) atOrigin() bool {
	if len(r.origin) == 0 || len(r.path) != len(r.origin) {
		return false
	}
	for i, name := range r.origin {
		if !strings.EqualFold(name, r.path[i]) {
			return false
		}
	}
	return true
}

func isNameByte(c byte) bool {
	return c == '_' || c == '$' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// name reads a member's name: a string, or a bare word as az writes `template:`.
func (r *reader) name() (string, error) {
	if r.at < len(r.src) && (r.src[r.at] == '"' || r.src[r.at] == '\'') {
		return r.str()
	}
	start := r.at
	for r.at < len(r.src) && isNameByte(r.src[r.at]) {
		r.at++
	}
	if r.at == start {
		return "", r.fault("unexpected %s where a member's name is needed", r.here())
	}
	return string(r.src[start:r.at]), nil
}

func (r *reader) number() (Value, error) {
	start := r.at
	for r.at < len(r.src) && (strings.IndexByte("+-.eE", r.src[r.at]) >= 0 || r.src[r.at] >= '0' && r.src[r.at] <= '9') {
		r.at++
	}
	text := string(r.src[start:r.at])
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || digits[0] < '0' || digits[0] > '9' || len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return Value{}, r.fault("%q is not a number", text)
	}
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return Int(i), nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || strings.HasSuffix(text, ".") {
		return Value{}, r.fault("%q is not a number", text)
	}
	return Float(f), nil
}

// str reads a string in double or single quotes, in which raw line ends and tabs
// may stand.
func (r *reader) str() (string, error) {
	quote := r.src[r.at]
	r.at++
	start := r.at
	for r.at < len(r.src) { // most strings need no decoding
		switch r.src[r.at] {
		case quote:
			r.at++
			return strings.ToValidUTF8(string(r.src[start:r.at-1]), "\ufffd"), nil
		case '\n':
			r.newline()
		case '\\':
			return r.escaped(start, quote)
		}
		r.at++
	}
	return "", r.fault("a string has no end")
}

// escaped goes on with a string from its first backslash.
func (r *reader) escaped(start int, quote byte) (string, error) {
	b := append([]byte(nil), r.src[start:r.at]...)
	for r.at < len(r.src) {
		c := r.src[r.at]
		switch c {
		case quote:
			r.at++
			return strings.ToValidUTF8(string(b), "\ufffd"), nil
		case '\n':
			r.newline()
		case '\\':
			decoded, err := r.escape()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, decoded)
			continue
		}
		b = append(b, c)
		r.at++
	}
	return "", r.fault("a string has no end")
}

// escape reads one escape sequence, or two that make a surrogate pair.
func (r *reader) escape() (rune, error) {
	if r.at+1 >= len(r.src) {
		return 0, r.fault("a string has no end")
	}
	c := r.src[r.at+1]
	if i := strings.IndexByte(`"\/bfnrt'`, c); i >= 0 {
		r.at += 2
		return rune("\"\\/\b\f\n\r\t'"[i]), nil
	}
	first, ok := r.hex4()
	if c != 'u' || !ok {
		return 0, r.fault("%q is not an escape sequence", r.src[r.at:min(len(r.src), r.at+2)])
	}
	r.at += 6
	if utf16.IsSurrogate(first) && r.at+1 < len(r.src) && r.src[r.at] == '\\' && r.src[r.at+1] == 'u' {
		if second, ok := r.hex4(); ok {
			if pair := utf16.DecodeRune(first, second); pair != utf8.RuneError {
				r.at += 6
				return pair, nil
			}
		}
	}
	return first, nil
}

// hex4 reads the four digits two bytes ahead.
func (r *reader) hex4() (rune, bool) {
	if r.at+6 > len(r.src) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(r.src[r.at+2:r.at+6]), 16, 16)
	return rune(n), err == nil
}

// utf16Len counts as .NET counts the length of a string.
func utf16Len(s string) int {
	n := 0
	for _, c := range s {
		n++
		if c > 0xffff {
			n++
		}
	}
	return n
}
