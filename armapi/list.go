package armapi

import (
	"context"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const (
	// defaultPage is how many items a page has when the client does not say; a page
	// of host pools is then some 500 KB, far below ARM's 8 MB.
	defaultPage = 250
	// maxPage bounds what a client may ask for.
	maxPage = 1000
	// maxSkipToken bounds a continuation that a client sends back.
	maxSkipToken = 2 * arm.MaxIDLength
)

// Paging is how a client wants a list cut.
type Paging struct {
	Size       int
	Skip       int    // rows to pass over; on the first page only
	After      string // where the page before ended
	Descending bool
}

// Paging reads pageSize, isDescending, initialSkip, $top and $skipToken.
func (q *Request) Paging() (Paging, error) { return parsePaging(q.query) }

func parsePaging(q queryParams) (Paging, error) {
	p, asked := Paging{Size: defaultPage}, false
	for _, name := range []string{"pagesize", "$top"} {
		n, given, err := q.number(name)
		switch {
		case err != nil, given && n == 0:
			return p, badQuery(name, q[name], "a positive whole number")
		case given && !asked:
			p.Size, asked = min(n, maxPage), true
		case given:
			p.Size = min(n, p.Size)
		}
	}
	skip, _, err := q.number("initialskip")
	if err != nil {
		return p, badQuery("initialSkip", q["initialskip"], "a whole number, not negative")
	}
	p.Skip = skip
	if d := q["isdescending"]; d != "" {
		if p.Descending, err = strconv.ParseBool(strings.ToLower(d)); err != nil {
			return p, badQuery("isDescending", d, "true or false")
		}
	}
	if token := q["$skiptoken"]; token != "" {
		if p.After, err = parseSkipToken(token); err != nil {
			return p, err
		}
		p.Skip = 0
	}
	return p, nil
}

func (q queryParams) number(name string) (n int, given bool, err error) {
	v, ok := q[name]
	if !ok || v == "" {
		return 0, false, nil
	}
	u, err := strconv.ParseUint(v, 10, 31)
	return int(u), true, err
}

func badQuery(name, value, want string) error {
	return arm.Errorf(arm.Invalid, "InvalidQueryParameterValue",
		"The value '%s' of the query parameter '%s' is invalid: it must be %s.", clip(value), name, want).WithTarget(name)
}

// skipToken carries a store's continuation key through a URL.
func skipToken(after string) string { return base64.RawURLEncoding.EncodeToString([]byte(after)) }

func parseSkipToken(token string) (string, error) {
	bad := arm.Errorf(arm.Invalid, "InvalidSkipToken",
		"The $skipToken is not one that this service gave. Start the list from its first page.").WithTarget("$skipToken")
	if len(token) > maxSkipToken {
		return "", bad
	}
	after, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(token, "="))
	if err != nil || len(after) == 0 || checkPath(string(after)) != nil {
		return "", bad
	}
	return string(after), nil
}

// pageBody is a page on the wire: nextLink is null on the last one.
type pageBody struct {
	Value    []any   `json:"value"`
	NextLink *string `json:"nextLink"`
}

// ListResponse answers a page; next is the store's continuation, "" on the last page.
func (q *Request) ListResponse(items []any, next string) Response {
	return Response{Body: page(items, q.BaseURL, q.HTTP.URL, next)}
}

func page(items []any, base string, u *url.URL, next string) pageBody {
	if items == nil {
		items = []any{}
	}
	if next == "" {
		return pageBody{Value: items}
	}
	values := url.Values{}
	for k, v := range u.Query() {
		if !strings.EqualFold(k, "$skipToken") && !strings.EqualFold(k, "initialSkip") {
			values[k] = v
		}
	}
	values.Set("$skipToken", skipToken(next))
	link := base + u.EscapedPath() + "?" + values.Encode()
	return pageBody{Value: items, NextLink: &link}
}

// list answers a collection below scope.
func (x *exchange) list(ctx context.Context, permission string, scope arm.ResourceID) (Response, error) {
	row := x.target.row
	p, err := parsePaging(x.query)
	if err != nil {
		return Response{}, err
	}
	keep, err := x.keep(row)
	if err != nil {
		return Response{}, err
	}
	seen, err := x.visible(ctx, permission, scope)
	if err != nil {
		return Response{}, err
	}
	if err := x.s.scopeExists(ctx, x.s.store, scope); err != nil {
		return Response{}, err
	}
	rows, next, err := x.s.collect(ctx, deskyard.ResourceQuery{Scope: scope, Type: row.Namespace + "/" + row.Path, Descending: p.Descending}, p, both(keep, seen))
	if err != nil {
		return Response{}, err
	}
	items, err := row.render(ctx, View{Reader: x.s.store, Fleet: x.s.fleet, Now: x.s.now(), Version: x.version, List: true}, rows)
	if err != nil {
		return Response{}, err
	}
	return Response{Body: page(items, x.s.baseURL(x.r), x.r.URL, next)}, nil
}

// keep is the row filter that $filter asks for; nil: every row.
func (x *exchange) keep(row *ResourceType) (rowFilter, error) {
	expr := strings.TrimSpace(x.query["$filter"])
	if expr == "" {
		return nil, nil
	}
	if row.Filter == nil {
		return nil, arm.Errorf(arm.Invalid, "InvalidFilter", "Lists of '%s' do not support $filter.", row.WireType()).WithTarget("$filter")
	}
	f, err := row.Filter(expr)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, r deskyard.Resource) (bool, error) { return f(r), nil }, nil
}

// visible decides what a caller sees of a list. Who may read at the scope sees all.
// Who may only read some resources below it sees those, as Resource Manager does
// it; who may read none is refused by the scope.
func (x *exchange) visible(ctx context.Context, permission string, scope arm.ResourceID) (rowFilter, error) {
	refused := x.s.access.Allow(ctx, x.principal, permission, scope)
	if refused == nil {
		return nil, nil
	}
	if refusalOf(refused).status != 403 {
		return nil, refused
	}
	filter := func(ctx context.Context, r deskyard.Resource) (bool, error) {
		err := x.s.access.Allow(ctx, x.principal, permission, r.ID)
		if err == nil || refusalOf(err).status == 403 {
			return err == nil, nil
		}
		return false, err
	}
	some, _, err := x.s.collect(ctx, deskyard.ResourceQuery{Scope: scope, Type: x.listedType()}, Paging{Size: 1}, filter)
	if err != nil {
		return nil, err
	}
	if len(some) == 0 {
		return nil, refused
	}
	return filter, nil
}

// listedType is the type whose rows a list shows; "" at a door over several.
func (x *exchange) listedType() string {
	if x.target.row == nil {
		return ""
	}
	return x.target.row.Namespace + "/" + x.target.row.Path
}

// scopeExists refuses to list below what does not exist.
func (s *Server) scopeExists(ctx context.Context, reader deskyard.Reader, scope arm.ResourceID) error {
	if len(scope.Segments) == 0 {
		return s.groupExists(ctx, reader, scope)
	}
	_, err := s.load(ctx, reader, scope)
	return err
}

// rowFilter keeps a row of a list.
type rowFilter func(ctx context.Context, r deskyard.Resource) (bool, error)

// both is the conjunction of filters; nil ones keep everything.
func both(a, b rowFilter) rowFilter {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return func(ctx context.Context, r deskyard.Resource) (bool, error) {
		if ok, err := a(ctx, r); !ok || err != nil {
			return false, err
		}
		return b(ctx, r)
	}
}

// collect reads one page of rows that pass the filter. It never reads further than
// the page's last row, so that the store's continuation is the page's own.
func (s *Server) collect(ctx context.Context, query deskyard.ResourceQuery, p Paging, keep rowFilter) ([]deskyard.Resource, string, error) {
	query.After, query.Descending = p.After, p.Descending
	skip := p.Skip
	if keep == nil {
		query.Skip, skip = p.Skip, 0
	}
	var rows []deskyard.Resource
	for {
		query.Limit = p.Size - len(rows)
		part, err := s.store.Resources(ctx, query)
		if err != nil {
			return nil, "", err
		}
		for _, r := range part.Items {
			ok := true
			if keep != nil {
				if ok, err = keep(ctx, r); err != nil {
					return nil, "", err
				}
			}
			switch {
			case !ok:
			case skip > 0:
				skip--
			default:
				rows = append(rows, r)
			}
		}
		if part.Next == "" || len(rows) == p.Size {
			return rows, part.Next, nil
		}
		query.After, query.Skip = part.Next, 0
	}
}
