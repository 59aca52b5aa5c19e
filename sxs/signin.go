package sxs

import (
	"strings"
	"time"

	"github.com/deskyard/deskyard/reverse"
)

// page is a leg on its way to a desktop: the RDP server's sign-in page, or beyond it.
type page struct {
	connection, user string // as the Dial had them
	since            time.Time
	in               bool      // the user has a session
	over             time.Time // when the leg ended; zero before
	display          string    // of that; "" while not known
	shell            time.Time // when its first program was started; zero before, and once that was told
}

// follow keeps a leg's page by the port from which the RDP server sees it.
func (l *legs) follow(port int, p *page) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pages == nil {
		l.pages = map[int]*page{}
	}
	l.pages[port] = p
}

// left forgets a leg's page some time after its end: what its host writes about it may
// come later.
func (l *legs) left(port int, p *page, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pages[port] == p {
		p.over = at
		l.ended = append(l.ended, endedPage{port, p})
	}
}

type endedPage struct {
	port int
	*page
}

// pageFor is how long a page outlives its leg.
const pageFor = 5 * time.Second

// steady is how long a session's first program must have run to count as started.
const steady = 500 * time.Millisecond

// heard takes what the session manager wrote since it was last looked, in order, and tells
// of it what is news of a connection.
func (l *legs) heard(events []signIn, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		l.hear(e, now)
	}
	for _, p := range l.pages {
		if !p.shell.IsZero() && now.Sub(p.shell) >= steady {
			l.news.add(reverse.Seen{Connection: p.connection, What: reverse.SeenShell, After: p.shell.Sub(p.since)})
			p.shell = time.Time{}
		}
	}
	for len(l.ended) > 0 && now.Sub(l.ended[0].over) > pageFor {
		if e := l.ended[0]; l.pages[e.port] == e.page {
			delete(l.pages, e.port)
		}
		l.ended = l.ended[1:]
	}
}

// hear takes one event. The caller holds l.mu.
func (l *legs) hear(e signIn, now time.Time) {
	switch e.kind {
	case refusedIn:
		if p := l.refused(e.user, now); p != nil {
			l.news.add(reverse.Seen{Connection: p.connection, What: reverse.SeenRefused, Cause: e.cause, Detail: e.detail})
			return
		}
		l.log.Info("sign-in refused, and whose connection it was is not known", "user", e.user, "cause", e.cause)
	case signedIn, broughtBack:
		p := l.pages[e.port]
		if p == nil || p.in {
			return
		}
		p.in = true
		l.news.add(reverse.Seen{Connection: p.connection, What: reverse.SeenSignedIn, After: now.Sub(p.since)})
		if e.kind == broughtBack {
			p.shell = now
		}
	case onDisplay:
		if p := l.pages[e.port]; p != nil {
			p.display = e.display
		}
	case startsShell:
		if p := l.onDisplay(e.display); p != nil {
			p.shell = now
		}
	case shellGone:
		p := l.onDisplay(e.display)
		if p == nil {
			return
		}
		atOnce := !p.shell.IsZero() // one that ran may end with any code
		p.display, p.shell = "", time.Time{}
		if atOnce && e.code == notFoundCode {
			l.news.add(reverse.Seen{Connection: p.connection, What: reverse.SeenNotFound})
		}
	}
}

// justNow is how long ago a leg may have ended to count as there still when its refusal is
// read: two readings, and what PAM takes.
const justNow = time.Second

// refused is the page on which somebody was refused: of those without a session the only
// one of a user of that name, or else the only one. One that is open comes before those
// whose client has just left, and these before others.
func (l *legs) refused(typed string, now time.Time) *page {
	named := false
	for _, p := range l.pages {
		named = named || !p.in && sameUser(p.user, typed)
	}
	var open, recent, all []*page
	for _, p := range l.pages {
		if p.in || named && !sameUser(p.user, typed) {
			continue
		}
		all = append(all, p)
		if p.over.IsZero() {
			open = append(open, p)
		}
		if p.over.IsZero() || now.Sub(p.over) < justNow {
			recent = append(recent, p)
		}
	}
	for _, choice := range [][]*page{open, recent, all} {
		if len(choice) == 1 {
			return choice[0]
		}
	}
	return nil
}

func (l *legs) onDisplay(display string) *page {
	for _, p := range l.pages {
		if display != "" && p.display == display {
			return p
		}
	}
	return nil
}

// sameUser compares a user principal name with what was typed: that, the part before the
// @, or DOMAIN\user.
func sameUser(principal, typed string) bool {
	name, _, _ := strings.Cut(principal, "@")
	typed = typed[strings.LastIndexByte(typed, '\\')+1:]
	return typed != "" && (strings.EqualFold(principal, typed) || strings.EqualFold(name, typed))
}

// signIn is one thing that the session manager wrote.
type signIn struct {
	kind    int
	user    string // refusedIn: what was typed
	cause   string // refusedIn: one of reverse's causes
	detail  string // refusedIn: PAM's words
	port    int    // signedIn, broughtBack, onDisplay: the leg's
	display string // onDisplay, startsShell, shellGone
	code    int    // shellGone: exit status
}

// Kinds of signIn.
const (
	refusedIn   = iota + 1 // somebody was not let in
	signedIn               // somebody has a new session
	broughtBack            // somebody is back in the session of before
	onDisplay              // a new session's display
	startsShell            // the first program is being started
	shellGone              // it ended, and not with 0
)

// notFoundCode is a shell's exit status for a program that is not there (POSIX).
const notFoundCode = 127
