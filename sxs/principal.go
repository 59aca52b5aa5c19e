package sxs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Times of the names that a directory gives.
const (
	askFor      = 5 * time.Second  // for one answer: sessions are not reported meanwhile
	namesLast   = 10 * time.Minute // a person is renamed seldom
	askAgainFor = 15 * time.Second // after the directory has not answered
)

// principals remembers the user principal names of the directory's accounts. The
// service knows people by these, and session hosts by names of their own.
type principals struct {
	ask func(ctx context.Context, account string) (string, error)
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex // guards known, and that the directory is asked for one at a time
	known map[string]principal
}

type principal struct {
	name  string
	until time.Time
}

// of is the user principal name of an account. A directory that does not answer
// leaves it the name it had, and at first the one that is likely.
func (p *principals) of(ctx context.Context, account, likely string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	had, ok := p.known[account]
	if ok && now.Before(had.until) {
		return had.name
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	name, err := p.ask(ctx, account)
	next := principal{name, now.Add(namesLast)}
	if err != nil || name == "" {
		if !ok {
			had.name = likely
			p.log.Warn("user principal name not found; the likely one stands in", "account", account, "name", likely, "err", err)
		}
		next = principal{had.name, now.Add(askAgainFor)}
	}
	if p.known == nil {
		p.known = map[string]principal{}
	}
	for other, q := range p.known { // who has not been here for long
		if now.After(q.until.Add(namesLast)) {
			delete(p.known, other)
		}
	}
	p.known[account] = next
	return next.name
}
