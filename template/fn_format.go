package template

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// fnFormat is .NET's composite formatting: {index[,alignment][:format]}, with {{
// and }} for braces.
func fnFormat(f *frame, args []Value) (Value, error) {
	pattern, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case (c == '{' || c == '}') && i+1 < len(pattern) && pattern[i+1] == c:
			b.WriteByte(c)
			i++
		case c == '{':
			end := strings.IndexByte(pattern[i:], '}')
			if end < 0 {
				return Value{}, fmt.Errorf("the format string has a '{' without '}'")
			}
			s, err := formatItem(f, pattern[i+1:i+end], args[1:])
			if err != nil {
				return Value{}, err
			}
			b.WriteString(s)
			i += end
		case c == '}':
			return Value{}, fmt.Errorf("the format string has a '}' without '{'")
		default:
			b.WriteByte(c)
		}
		if b.Len() > f.meter.limits.ValueBytes {
			return Value{}, f.meter.room(b.Len())
		}
	}
	return String(b.String()), nil
}

func formatItem(f *frame, item string, args []Value) (string, error) {
	item, spec, _ := strings.Cut(item, ":")
	number, alignment, aligned := strings.Cut(item, ",")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n < 0 || n >= len(args) {
		return "", fmt.Errorf("the format string refers to argument '{%s}', and there are %d", number, len(args))
	}
	s, err := formatValue(f, args[n], spec)
	if err != nil || !aligned {
		return s, err
	}
	width, err := strconv.Atoi(strings.TrimSpace(alignment))
	if err != nil || width > 1<<16 || width < -1<<16 {
		return "", fmt.Errorf("the alignment '%s' of the format string is not a small integer", alignment)
	}
	blanks := strings.Repeat(" ", max(0, max(width, -width)-utf16Len(s)))
	if width < 0 {
		return s + blanks, nil
	}
	return blanks + s, nil
}

func formatValue(f *frame, v Value, spec string) (string, error) {
	if x, ok := v.Float(); ok && spec != "" {
		return formatNumber(v, x, spec)
	}
	return asText(f, v)
}

// formatNumber knows .NET's standard numeric formats in the invariant culture,
// and custom ones made of 0, #, point, comma and percent.
func formatNumber(v Value, x float64, spec string) (string, error) {
	precision := -1
	if len(spec) > 1 {
		if p, err := strconv.Atoi(spec[1:]); err == nil && p >= 0 && p < 100 {
			precision = p
		}
	}
	if precision < 0 && len(spec) > 1 || strings.IndexByte("DdXxNnFfPpEeGgBbRrCc", spec[0]) < 0 {
		return formatCustom(x, spec)
	}
	whole, isInt := v.Int()
	orElse := func(p int) int {
		if precision < 0 {
			return p
		}
		return precision
	}
	switch kind := spec[0] | 0x20; {
	case (kind == 'd' || kind == 'x' || kind == 'b') && !isInt:
		return "", fmt.Errorf("the format '%s' is for integers", spec)
	case kind == 'd':
		s := zeroes(strconv.FormatUint(magnitude(whole), 10), precision)
		if whole < 0 {
			s = "-" + s
		}
		return s, nil
	case kind == 'x' || kind == 'b':
		base := 16
		if kind == 'b' {
			base = 2
		}
		s := strconv.FormatUint(uint64(whole), base)
		if whole < 0 && whole >= math.MinInt32 { // .NET writes the 32 bits of an int
			s = strconv.FormatUint(uint64(uint32(whole)), base)
		}
		if spec[0] == 'X' {
			s = strings.ToUpper(s)
		}
		return zeroes(s, precision), nil
	case kind == 'n':
		return grouped(strconv.FormatFloat(x, 'f', orElse(2), 64)), nil
	case kind == 'f':
		return strconv.FormatFloat(x, 'f', orElse(2), 64), nil
	case kind == 'p':
		return grouped(strconv.FormatFloat(x*100, 'f', orElse(2), 64)) + " %", nil
	case kind == 'c':
		return "¤" + grouped(strconv.FormatFloat(x, 'f', orElse(2), 64)), nil
	case kind == 'e':
		return exponent(strconv.FormatFloat(x, spec[0], orElse(6), 64)), nil
	}
	return string(v.appendJSON(nil)), nil // G and R: the shortest form
}

func magnitude(i int64) uint64 {
	if i < 0 {
		return -uint64(i)
	}
	return uint64(i)
}

func zeroes(digits string, width int) string {
	return strings.Repeat("0", max(0, width-len(digits))) + digits
}

// exponent widens Go's two digits of an exponent to .NET's three.
func exponent(s string) string {
	i := strings.LastIndexAny(s, "+-")
	return s[:i+1] + zeroes(s[i+1:], 3)
}

// grouped puts commas between the thousands of a decimal number.
func grouped(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	whole, fraction, hasFraction := strings.Cut(s, ".")
	var b strings.Builder
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	if hasFraction {
		b.WriteString("." + fraction)
	}
	return sign + b.String()
}

// formatCustom is a custom numeric format of one section: literal text around
// one run of 0, #, comma and point.
func formatCustom(x float64, spec string) (string, error) {
	first, last := strings.IndexAny(spec, "0#"), strings.LastIndexAny(spec, "0#")
	if first < 0 {
		return spec, nil
	}
	before, digits, after := spec[:first], spec[first:last+1], spec[last+1:]
	if strings.Contains(before+after, "%") {
		x *= 100
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	places := len(fraction)
	s := strconv.FormatFloat(math.Abs(x), 'f', places, 64)
	integer, decimals, _ := strings.Cut(s, ".")
	for len(decimals) > strings.LastIndexByte(fraction, '0')+1 && strings.HasSuffix(decimals, "0") {
		decimals = decimals[:len(decimals)-1]
	}
	need := strings.Count(whole, "0")
	if integer == "0" && need == 0 {
		integer = ""
	}
	integer = zeroes(integer, need)
	if strings.Contains(whole, ",") {
		integer = grouped(integer)
	}
	if decimals != "" {
		integer += "." + decimals
	}
	if x < 0 {
		before = "-" + before
	}
	return before + integer + after, nil
}
