package template

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// encodingFunctions are the functions that encode text.
func encodingFunctions() []function {
	return []function{
		{name: "base64", min: 1, max: 1, call: fnBase64},
		{name: "base64ToJson", min: 1, max: 1, call: fnBase64ToJSON},
		{name: "base64ToString", min: 1, max: 1, call: fnBase64ToString},
		{name: "dataUri", min: 1, max: 1, call: fnDataURI},
		{name: "dataUriToString", min: 1, max: 1, call: fnDataURIToString},
		{name: "uri", min: 2, max: 2, call: fnURI},
		{name: "uriComponent", min: 1, max: 1, call: fnURIComponent},
		{name: "uriComponentToString", min: 1, max: 1, call: fnURIComponentToString},
	}
}

func fnBase64(f *frame, args []Value) (Value, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	return String(base64.StdEncoding.EncodeToString([]byte(s))), nil
}

func decodeBase64(args []Value) (string, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return "", err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || !utf8.Valid(b) {
		return "", errors.New("its argument is not the base64 form of a text")
	}
	return string(b), nil
}

func fnBase64ToString(_ *frame, args []Value) (Value, error) {
	s, err := decodeBase64(args)
	return String(s), err
}

func fnBase64ToJSON(f *frame, args []Value) (Value, error) {
	s, err := decodeBase64(args)
	if err != nil {
		return Value{}, err
	}
	return fnJSON(f, []Value{String(s)})
}

func fnDataURI(f *frame, args []Value) (Value, error) {
	s, err := asText(f, args[0])
	return String("data:text/plain;charset=utf8;base64," + base64.StdEncoding.EncodeToString([]byte(s))), err
}

func fnDataURIToString(_ *frame, args []Value) (Value, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	head, data, ok := strings.Cut(s, ",")
	if !ok || !strings.HasPrefix(strings.ToLower(head), "data:") {
		return Value{}, errors.New("its argument is not a data URI")
	}
	if strings.HasSuffix(strings.ToLower(head), ";base64") {
		return fnBase64ToString(nil, []Value{String(data)})
	}
	text, err := url.PathUnescape(data)
	return String(text), err
}

// fnURI joins as ARM documents it: what follows the last slash of the base goes.
func fnURI(_ *frame, args []Value) (Value, error) {
	base, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	relative, err := textArg(args, 1)
	if err != nil {
		return Value{}, err
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return Value{}, fmt.Errorf("'%s' is not an absolute URI", show(args[0]))
	}
	if ref, err := url.Parse(relative); err == nil && ref.Scheme != "" && ref.Host != "" {
		return String(ref.String()), nil
	}
	if u.Path == "" {
		return String(base + "/" + strings.TrimPrefix(relative, "/")), nil
	}
	if u.RawQuery, u.Fragment = "", ""; !strings.HasSuffix(u.Path, "/") {
		u.Path = u.Path[:strings.LastIndexByte(u.Path, '/')+1]
		u.RawPath = ""
	}
	return String(u.String() + strings.TrimPrefix(relative, "/")), nil
}

// fnURIComponent keeps RFC 3986's unreserved characters and encodes all others.
func fnURIComponent(f *frame, args []Value) (Value, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	if err := f.meter.room(3 * len(s)); err != nil {
		return Value{}, err
	}
	return String(strings.NewReplacer("+", "%20", "%7E", "~").Replace(url.QueryEscape(s))), nil
}

func fnURIComponentToString(_ *frame, args []Value) (Value, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	text, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(text) {
		return Value{}, errors.New("its argument is not an encoded URI component")
	}
	return String(text), nil
}
