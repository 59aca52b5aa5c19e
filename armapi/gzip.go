package armapi

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// gzipFrom is the size in bytes from which an answer is worth packing: below it a
// packet or two is saved at most.
const gzipFrom = 4 << 10

// packers are kept: each holds some hundred KB.
var packers = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant that exists
	}
	return z
}}

// send writes an answer's status and body, packed where the client takes that. Only
// answers to GET are: those to actions may hold a secret, whose length is nobody's business.
func (x *exchange) send(status int, body []byte) {
	h := x.w.Header()
	if x.r.Method != http.MethodGet || len(body) < gzipFrom {
		x.w.WriteHeader(status)
		_, _ = x.w.Write(body) // the caller hung up: there is nobody left to tell
		return
	}
	h.Add("Vary", "Accept-Encoding")
	if h.Get("Content-Encoding") != "" || !takesGzip(x.r.Header.Values("Accept-Encoding")) {
		x.w.WriteHeader(status)
		_, _ = x.w.Write(body) // likewise
		return
	}
	h.Set("Content-Encoding", "gzip")
	x.w.WriteHeader(status)
	z := packers.Get().(*gzip.Writer)
	defer packers.Put(z)
	z.Reset(x.w)
	_, _ = z.Write(body) // likewise
	_ = z.Close()
}

// takesGzip reads Accept-Encoding (RFC 9110, 12.5.3): gzip is named, or *, and not with
// the weight 0.
func takesGzip(sent []string) bool {
	taken, named := false, false
	for _, part := range strings.Split(strings.Join(sent, ","), ",") {
		coding, parameters, _ := strings.Cut(part, ";")
		coding = strings.ToLower(strings.TrimSpace(coding))
		if coding != "gzip" && coding != "x-gzip" && (coding != "*" || named) {
			continue
		}
		named = coding != "*"
		taken = true
		if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameters)), "q="); ok {
			weight, err := strconv.ParseFloat(q, 64)
			taken = err == nil && weight > 0
		}
	}
	return taken
}
