package armapi

import (
	"context"
	"encoding/base64"
	"net/http"
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

// listBody is a page on the wire: nextLink is null on the last one.
type listBody struct {
	Value    []any   `json:"value"`
	NextLink *string `json:"nextLink"`
}

// ListResponse answers a page; next is the store's continuation, "" on the last page.
func (q *Request) ListResponse(items []any, next string) Response {
	return Response{Body: page(items, q.BaseURL, q.HTTP.URL, next)}
}

func page(items []any, base string, u *url.URL, next string) listBody {
	if items == nil {
		items = []any{}
	}
	if next == "" {
		return listBody{Value: items}
	}
	values := url.Values{}
	for k, v := range u.Query() {
		if !strings.EqualFold(k, "$skipToken") && !strings.EqualFold(k, "initialSkip") {
			values[k] = v
		}
	}
	values.Set("$skipToken", skipToken(next))
	link := base + u.EscapedPath() + "?" + values.Encode()
	return listBody{Value: items, NextLink: &link}
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
	seen, err := x.s.visible(ctx, x.principal, scope, permission, func(arm.ResourceID) string { return permission })
	if err != nil {
		return Response{}, err
	}
	if err := x.s.scopeExists(ctx, x.s.store, scope); err != nil {
		return Response{}, seen.instead(err)
	}
	query := deskyard.ResourceQuery{Scope: scope, Type: row.Namespace + "/" + row.Path}
	rows, next, err := x.s.collect(ctx, query, p, both(keep, seen.keep))
	if err != nil {
		return Response{}, err
	}
	if len(rows) == 0 && seen.refused != nil {
		return Response{}, seen.refused
	}
	items, err := row.render(ctx, View{Reader: x.s.store, Fleet: x.s.fleet, Now: x.s.now(), Version: x.version, List: true, Expand: x.expand()}, rows)
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

// sight is what a caller sees of a list. Who may read at its scope sees all (the
// zero sight). Who may only read some resources below it sees those, as Resource
// Manager does it; who may read none is refused by the scope.
type sight struct {
	keep    rowFilter
	refused error // of the scope
}

// instead hides that a scope is missing from who may not look there.
func (v sight) instead(err error) error {
	if v.refused != nil {
		return v.refused
	}
	return err
}

// visible asks for permission at the scope of a list and, without it, for what each
// row needs.
func (s *Server) visible(ctx context.Context, p deskyard.Principal, scope arm.ResourceID, permission string, each func(arm.ResourceID) string) (sight, error) {
	refused := s.access.Allow(ctx, p, permission, scope)
	if refused == nil {
		return sight{}, nil
	}
	if refusalOf(refused).status != http.StatusForbidden {
		return sight{}, refused
	}
	keep := func(ctx context.Context, r deskyard.Resource) (bool, error) {
		err := s.access.Allow(ctx, p, each(r.ID), r.ID)
		if err == nil || refusalOf(err).status == http.StatusForbidden {
			return err == nil, nil
		}
		return false, err
	}
	return sight{keep: keep, refused: refused}, nil
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

// filteredChunk is how many rows a filtered list reads at once.
const filteredChunk = 500

// collect reads one page of rows that pass the filter.
func (s *Server) collect(ctx context.Context, query deskyard.ResourceQuery, p Paging, keep rowFilter) ([]deskyard.Resource, string, error) {
	query.After, query.Descending = p.After, p.Descending
	if keep == nil {
		query.Skip, query.Limit = p.Skip, p.Size
		all, err := s.store.Resources(ctx, query)
		return all.Items, all.Next, err
	}
	skip := p.Skip
	query.Limit = filteredChunk
	var rows []deskyard.Resource
	for {
		part, err := s.store.Resources(ctx, query)
		if err != nil {
			return nil, "", err
		}
		for i, r := range part.Items {
			ok, err := keep(ctx, r)
			if err != nil {
				return nil, "", err
			}
			switch {
			case !ok:
			case skip > 0:
				skip--
			default:
				rows = append(rows, r)
			}
			if len(rows) == p.Size && (i+1 < len(part.Items) || part.Next != "") {
				return rows, r.ID.Key(), nil
			}
		}
		if part.Next == "" {
			return rows, "", nil
		}
		query.After = part.Next
	}
}
