package template

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// dateFunctions are the functions of dates.
func dateFunctions() []function {
	return []function{
		{name: "dateTimeAdd", min: 2, max: 3, call: fnDateTimeAdd},
		{name: "dateTimeFromEpoch", min: 1, max: 1, call: fnDateTimeFromEpoch},
		{name: "dateTimeToEpoch", min: 1, max: 1, call: fnDateTimeToEpoch},
		{name: "utcNow", min: 0, max: 1, call: fnUTCNow, quiet: true},
	}
}

func fnUTCNow(f *frame, args []Value) (Value, error) {
	if !f.scope.inDefault {
		return Value{}, errors.New("the template function 'utcNow' is not expected at this location. It can only be used in the default value of a parameter")
	}
	format := "yyyyMMddTHHmmssZ"
	if len(args) == 1 {
		var err error
		if format, err = textArg(args, 0); err != nil {
			return Value{}, err
		}
	}
	s, err := formatTime(f.scope.env.Now.UTC(), format)
	return String(s), err
}

func fnDateTimeFromEpoch(_ *frame, args []Value) (Value, error) {
	n, err := intArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	if n < -62135596800 || n > 253402300799 { // the years 1 to 9999
		return Value{}, fmt.Errorf("'%d' is out of range", n)
	}
	return String(time.Unix(n, 0).UTC().Format(time.RFC3339)), nil
}

func fnDateTimeToEpoch(_ *frame, args []Value) (Value, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	t, _, err := parseTime(s)
	return Int(t.Unix()), err
}

// fnDateTimeAdd adds an ISO 8601 duration; without a format the result has the
// form of its base.
func fnDateTimeAdd(_ *frame, args []Value) (Value, error) {
	list, err := texts(args)
	if err != nil {
		return Value{}, err
	}
	t, layout, err := parseTime(list[0])
	if err != nil {
		return Value{}, err
	}
	if t, err = addDuration(t, list[1]); err != nil {
		return Value{}, err
	}
	if len(list) < 3 {
		return String(t.Format(layout)), nil
	}
	s, err := formatTime(t, list[2])
	return String(s), err
}

// timeForms are the forms of dates that utcNow makes and people write.
var timeForms = []string{
	"20060102T150405Z0700", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.0000000Z07:00", "2006-01-02T15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02 15:04",
	"2006-01-02", "20060102", "Mon, 02 Jan 2006 15:04:05 GMT", "01/02/2006 15:04:05", "1/2/2006 3:04:05 PM", "01/02/2006",
}

func parseTime(s string) (t time.Time, layout string, err error) {
	for _, layout := range timeForms {
		if t, err := time.Parse(layout, s); err == nil && t.Format(layout) == s {
			return t.UTC(), layout, nil
		}
	}
	for _, layout := range timeForms {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), layout, nil
		}
	}
	return t, "", fmt.Errorf("'%s' is not a date and time of ISO 8601", s)
}

var isoDuration = regexp.MustCompile(`^([+-]?)P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})W)?(?:(\d{1,7})D)?(T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(?:\.(\d{1,9}))?S)?)?$`)

// addDuration adds years and months on the calendar and the rest as time.
func addDuration(t time.Time, s string) (time.Time, error) {
	m := isoDuration.FindStringSubmatch(s)
	if m == nil || strings.HasSuffix(s, "P") || strings.HasSuffix(s, "T") {
		return t, fmt.Errorf("'%s' is not a duration of ISO 8601, such as P1D or -PT90M", s)
	}
	sign := 1
	if m[1] == "-" {
		sign = -1
	}
	n := func(i int) int {
		v, _ := strconv.Atoi(m[i]) // "" where the part is absent, else digits by the pattern
		return sign * v
	}
	nanos, _ := strconv.Atoi((m[10] + "000000000")[:9])
	t = addMonths(t, 12*n(2)+n(3)).AddDate(0, 0, 7*n(4)+n(5))
	t = t.Add(time.Duration(n(7))*time.Hour + time.Duration(n(8))*time.Minute + time.Duration(n(9))*time.Second + time.Duration(sign*nanos))
	if t.Year() < 1 || t.Year() > 9999 {
		return t, errors.New("the result is not in the years 1 to 9999")
	}
	return t, nil
}

// addMonths keeps within the month as .NET does: 31 January and a month is the
// last of February.
func addMonths(t time.Time, months int) time.Time {
	first := time.Date(t.Year(), t.Month(), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location()).AddDate(0, months, 0)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

// standardForms are .NET's one-letter date formats in the invariant culture.
var standardForms = map[string]string{
	"d": "MM/dd/yyyy", "D": "dddd, dd MMMM yyyy", "f": "dddd, dd MMMM yyyy HH:mm", "F": "dddd, dd MMMM yyyy HH:mm:ss",
	"g": "MM/dd/yyyy HH:mm", "G": "MM/dd/yyyy HH:mm:ss", "m": "MMMM dd", "M": "MMMM dd",
	"o": "yyyy'-'MM'-'dd'T'HH':'mm':'ss'.'fffffffK", "O": "yyyy'-'MM'-'dd'T'HH':'mm':'ss'.'fffffffK",
	"r": "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'", "R": "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'",
	"s": "yyyy'-'MM'-'dd'T'HH':'mm':'ss", "t": "HH:mm", "T": "HH:mm:ss", "u": "yyyy'-'MM'-'dd HH':'mm':'ss'Z'",
	"U": "dddd, dd MMMM yyyy HH:mm:ss", "y": "yyyy MMMM", "Y": "yyyy MMMM",
}

// formatTime formats a UTC time by a .NET format string.
func formatTime(t time.Time, format string) (string, error) {
	if full, ok := standardForms[format]; ok {
		format = full
	} else if len(format) < 2 {
		return "", fmt.Errorf("'%s' is not a date and time format", format)
	}
	var b strings.Builder
	for i := 0; i < len(format); {
		c := format[i]
		switch c {
		case '\'', '"':
			end := strings.IndexByte(format[i+1:], c)
			if end < 0 {
				return "", fmt.Errorf("the format '%s' has a quote without its other half", format)
			}
			b.WriteString(format[i+1 : i+1+end])
			i += end + 2
			continue
		case '\\', '%':
			if i++; i == len(format) {
				return "", fmt.Errorf("the format '%s' ends in '%c'", format, c)
			}
			if c == '\\' {
				b.WriteByte(format[i])
				i++
			}
			continue
		}
		n := 1
		for i+n < len(format) && format[i+n] == c {
			n++
		}
		s, err := timePart(t, c, n)
		if err != nil {
			return "", err
		}
		if c == 'F' && s == "" { // the point before an empty fraction goes with it
			trimmed := strings.TrimSuffix(b.String(), ".")
			b.Reset()
			b.WriteString(trimmed)
		}
		b.WriteString(s)
		i += n
	}
	return b.String(), nil
}

// timePart is one run of n equal letters of a .NET format.
func timePart(t time.Time, c byte, n int) (string, error) {
	two := func(v int) string { return zeroes(strconv.Itoa(v), min(n, 2)) }
	switch c {
	case 'y':
		if n <= 2 {
			return two(t.Year() % 100), nil
		}
		return zeroes(strconv.Itoa(t.Year()), n), nil
	case 'M':
		if n > 2 {
			return t.Format(map[bool]string{true: "Jan", false: "January"}[n == 3]), nil
		}
		return two(int(t.Month())), nil
	case 'd':
		if n > 2 {
			return t.Format(map[bool]string{true: "Mon", false: "Monday"}[n == 3]), nil
		}
		return two(t.Day()), nil
	case 'H':
		return two(t.Hour()), nil
	case 'h':
		return two((t.Hour()+11)%12 + 1), nil
	case 'm':
		return two(t.Minute()), nil
	case 's':
		return two(t.Second()), nil
	case 'f', 'F':
		if n > 7 {
			return "", errors.New("a second has at most seven decimals in a format")
		}
		s := fmt.Sprintf("%09d", t.Nanosecond())[:n]
		if c == 'F' {
			s = strings.TrimRight(s, "0")
		}
		return s, nil
	case 't':
		return t.Format("PM")[:min(n, 2)], nil
	case 'z':
		return [...]string{"+0", "+00", "+00:00"}[min(n, 3)-1], nil
	case 'K':
		return strings.Repeat("Z", n), nil
	case 'g':
		return "A.D.", nil
	}
	return strings.Repeat(string(rune(c)), n), nil
}
