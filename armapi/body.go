package armapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deskyard/deskyard/arm"
)

const (
	// maxBody bounds a request's body: Azure's own bound on one.
	maxBody = 4 << 20
	// maxDrain and drainTime bound how much of a body that is too large is read and
	// thrown away, so that a client that sends before it listens hears the refusal.
	maxDrain  = 128 << 20
	drainTime = 20 * time.Second
)

// readBody reads the body whole, within its bound.
func (x *exchange) readBody() error {
	if x.r.Body == nil || x.r.Body == http.NoBody {
		return nil
	}
	if x.r.ContentLength > maxBody {
		return x.refuseBody()
	}
	body, err := io.ReadAll(io.LimitReader(x.r.Body, maxBody+1))
	if err != nil {
		return arm.Errorf(arm.Invalid, "InvalidRequestContent", "The request content could not be read to its end.")
	}
	if len(body) > maxBody {
		return x.refuseBody()
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if err := checkContentType(x.r.Header.Get("Content-Type")); err != nil {
		return err
	}
	x.body = body
	return nil
}

func (x *exchange) refuseBody() error {
	rc := http.NewResponseController(x.w)
	if err := rc.SetReadDeadline(time.Now().Add(drainTime)); err == nil || errors.Is(err, http.ErrNotSupported) {
		_, _ = io.CopyN(io.Discard, x.r.Body, maxDrain) // the refusal is sent however far this came
	}
	x.w.Header().Set("Connection", "close")
	return arm.Errorf(arm.TooLarge, "RequestContentTooLarge",
		"The request content size exceeds the maximum size of %d bytes.", maxBody)
}

// checkContentType takes JSON under any of its names, and takes silence for it.
func checkContentType(sent string) error {
	if sent == "" {
		return nil
	}
	media, params, err := mime.ParseMediaType(sent)
	json := media == "application/json" || media == "text/json" ||
		strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
	if err != nil || !json {
		return arm.Errorf(arm.Unsupported, "UnsupportedMediaType",
			"The content media type '%s' is not supported. Only 'application/json' is supported.", clip(sent))
	}
	if c := strings.ToLower(params["charset"]); c != "" && c != "utf-8" && c != "utf8" && c != "us-ascii" {
		return arm.Errorf(arm.Unsupported, "UnsupportedMediaType", "The charset '%s' is not supported. Only 'utf-8' is supported.", clip(c))
	}
	return nil
}

// Decode reads the body into v: member names in any case, unknown members ignored.
// An empty body leaves v as it is.
func (q *Request) Decode(v any) error {
	if len(q.Body) == 0 {
		return nil
	}
	return decodeJSON(q.Body, v, "")
}

// invalidContent is what Azure says to a body that it cannot read.
func invalidContent(format string, args ...any) *arm.Error {
	return arm.Errorf(arm.Invalid, "InvalidRequestContent",
		"The request content was invalid and could not be deserialized: '%s'.", fmt.Sprintf(format, args...))
}

// decodeJSON reads one JSON value and nothing behind it. at says where in the body
// data stands, for the error's target.
func decodeJSON(data []byte, v any, at string) error {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // PowerShell's files begin with it
	if !utf8.Valid(data) {
		// encoding/json would put U+FFFD in its place without a word.
		return invalidContent("it is not UTF-8")
	}
	if i := indexNUL(data); i >= 0 {
		return invalidContent("the character U+0000 at byte %d is not allowed", i)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return jsonError(err, at)
	}
	if _, err := dec.Token(); err != io.EOF {
		return invalidContent("there is more behind the JSON value, at byte %d", dec.InputOffset())
	}
	return nil
}

// indexNUL finds an escaped character NUL, which no store keeps in text; -1: none.
func indexNUL(data []byte) int {
	for i := 0; i+5 < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		if string(data[i:i+6]) == `\u0000` {
			return i
		}
		i++ // whatever is escaped, a backslash too
	}
	return -1
}

func jsonError(err error, at string) error {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		path := strings.Trim(at+"."+wrongType.Field, ".")
		e := invalidContent("%s must be %s, not %s", path, jsonKind(wrongType.Type.Kind().String()), wrongType.Value)
		return e.WithTarget(path)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return invalidContent("%s at byte %d", syntax.Error(), syntax.Offset)
	}
	e := invalidContent("%s", err.Error())
	if at != "" {
		return e.WithTarget(at)
	}
	return e
}

// jsonKind says a Go kind as JSON has it.
func jsonKind(k string) string {
	switch {
	case strings.HasPrefix(k, "int"), strings.HasPrefix(k, "uint"):
		return "an integer in range"
	case strings.HasPrefix(k, "float"):
		return "a number"
	case k == "bool":
		return "true or false"
	case k == "slice", k == "array":
		return "an array"
	case k == "struct", k == "map":
		return "an object"
	}
	return "a " + k
}
