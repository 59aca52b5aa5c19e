package identity

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"image"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/pquerna/otp"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

//go:embed pages_factor.js
var factorScript string

// factorLife is how long a page that asks for a factor, or adds one, may stay open.
const factorLife = 10 * time.Minute

// freshLife is how recent a sign-in must be to change what later ones ask for.
const freshLife = 15 * time.Minute

// half is a sign-in whose password was right; it travels through the browser, sealed.
type half struct {
	Request string                `json:"r"` // the sealed pending request
	User    string                `json:"u"` // object id
	Key     *webauthn.SessionData `json:"k,omitempty"`
	Made    time.Time             `json:"t"`
}

// enrolment is a factor being added; it travels through the browser, sealed. Its secret
// is the user's own to see.
type enrolment struct {
	User   string                `json:"u"`
	Secret string                `json:"s,omitempty"` // base32
	Key    *webauthn.SessionData `json:"k,omitempty"`
	Made   time.Time             `json:"t"`
}

const (
	textWrongCode = "The code is wrong or was used already. Wait for the next one, and check that your device's clock is right."
	textWrongKey  = "The security key did not answer as it should. Try again, or use another factor."
	textLocked    = "Too many attempts. Wait a while and try again."
)

// askFactor shows the page for the second factor.
func (s *Service) askFactor(w http.ResponseWriter, r *http.Request, status int, p pending, sealed string, u directory.User, problem string) error {
	ask, session, err := askKey(s.base(r), u)
	if err != nil {
		return err
	}
	view := page{Title: "Confirm it is you", App: p.App, Account: u.UPN, Error: problem, Script: template.JS(factorScript)}
	for _, f := range u.Factors {
		view.TOTP = view.TOTP || f.Kind == directory.FactorTOTP
	}
	if ask != nil {
		options, err := json.Marshal(ask.Response)
		if err != nil {
			return err
		}
		view.KeyOptions = string(options)
	}
	view.Request = s.sealed(sealFactor, half{Request: sealed, User: u.ObjectID, Key: session, Made: s.now()})
	s.show(w, r, status, "factor", view, p.RedirectURI)
	return nil
}

// proveFactor handles the form of that page.
func (s *Service) proveFactor(w http.ResponseWriter, r *http.Request) error {
	var h half
	err := s.unsealed(sealFactor, r.PostForm.Get("request"), &h)
	p, stale := s.unseal(h.Request)
	if err != nil || stale != nil || s.now().Sub(h.Made) > factorLife || !s.csrfValid(r) {
		s.showError(w, r, http.StatusBadRequest, textStale, "")
		return nil
	}
	if r.PostForm.Get("action") == "cancel" {
		return s.decline(w, r, p)
	}
	u, methods, problem, err := s.factorOfForm(r, h)
	if err != nil {
		return err
	}
	if problem != "" {
		if u, err = s.store.User(r.Context(), h.User); err != nil {
			return err
		}
		return s.askFactor(w, r, http.StatusUnauthorized, p, h.Request, u, problem)
	}
	s.noteSignIn(r.Context(), u, "", "")
	return s.begin(w, r, p, u, methods)
}

// factorOfForm checks what the person gave; problem is for that person to read.
func (s *Service) factorOfForm(r *http.Request, h half) (u directory.User, methods, problem string, err error) {
	ctx := r.Context()
	if !s.attempts.allow(originKey(s.address(r))) {
		return u, "", textLocked, nil
	}
	wrong := textWrongCode
	if r.PostForm.Get("action") == "key" {
		wrong, methods = textWrongKey, methodKey
		if h.Key == nil {
			return u, "", wrong, nil
		}
		u, err = s.checkKey(ctx, s.base(r), h.User, *h.Key, []byte(r.PostForm.Get("key")))
	} else {
		methods = methodTOTP
		u, err = s.checkTOTP(ctx, h.User, r.PostForm.Get("code"))
	}
	switch {
	case errors.Is(err, errWrongCode):
		return u, "", wrong, nil
	case errors.Is(err, errCredentials):
		return u, "", textLocked, nil
	case errors.Is(err, errDisabled):
		return u, "", "The user account is disabled.", nil
	}
	return u, methods, "", err
}

// begin starts the browser's session, and goes on with what waits for it.
func (s *Service) begin(w http.ResponseWriter, r *http.Request, p pending, u directory.User, methods string) error {
	if err := s.endSession(r.Context(), r); err != nil {
		return err
	}
	cookie, session, err := s.startSession(r.Context(), u, methods)
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie)
	return s.complete(w, r, p, u, session)
}

// security is the page on which people add and remove their factors. It wants a sign-in
// of just now: a browser that was left open must not be able to lock its owner out.
func (s *Service) security(w http.ResponseWriter, r *http.Request) error {
	session, u, ok := s.session(r.Context(), r)
	if !ok || s.now().Sub(session.AuthTime) > freshLife {
		p := pending{Base: s.base(r), App: "Security settings", Page: "/security", Hint: u.UPN, Fresh: true, Made: s.now()}
		http.Redirect(w, r, "/signin?request="+url.QueryEscape(s.seal(p)), http.StatusSeeOther)
		return nil
	}
	if r.Method != http.MethodPost {
		return s.showSecurity(w, r, http.StatusOK, u, "")
	}
	if !s.csrfValid(r) {
		return s.showSecurity(w, r, http.StatusBadRequest, u, textStale)
	}
	if r.PostForm.Get("action") == "addPassword" {
		return s.showAppPassword(w, r, u)
	}
	problem, err := s.changeFactors(r, u)
	if err != nil {
		return err
	}
	if problem != "" {
		return s.showSecurity(w, r, http.StatusBadRequest, u, problem)
	}
	if err := s.elevate(r.Context(), session, r.PostForm.Get("action")); err != nil {
		return err
	}
	http.Redirect(w, r, "/security", http.StatusSeeOther)
	return nil
}

// elevate notes that a session has just proved the factor that was added in it: it would
// not be one any more, now that its user has a factor.
func (s *Service) elevate(ctx context.Context, session directory.Grant, action string) error {
	methods := map[string]string{"totp": methodTOTP, "key": methodKey}[action]
	if methods == "" {
		return nil
	}
	_, err := s.store.UpdateGrant(ctx, session.Kind, session.Hash, func(g *directory.Grant) error {
		g.Claims = methods
		return nil
	})
	if err != nil {
		return fmt.Errorf("note the factor in the browser's session: %w", err)
	}
	return nil
}

// changeFactors does what the page's forms ask for.
func (s *Service) changeFactors(r *http.Request, u directory.User) (problem string, err error) {
	ctx, form := r.Context(), r.PostForm
	remove := map[string]func(context.Context, string, string) error{"remove": s.RemoveFactor, "removePassword": s.RemoveAppPassword}[form.Get("action")]
	if remove != nil {
		err := remove(ctx, u.ObjectID, form.Get("id"))
		if arm.IsMissing(err) {
			return "That was removed already.", nil
		}
		return "", err
	}
	var e enrolment
	if err := s.unsealed(sealEnrol, form.Get("request"), &e); err != nil || e.User != u.ObjectID || s.now().Sub(e.Made) > factorLife {
		return textStale, nil
	}
	switch {
	case form.Get("action") == "key" && e.Key != nil:
		err = s.addKey(ctx, s.base(r), u, form.Get("name"), *e.Key, []byte(form.Get("key")))
	case form.Get("action") == "totp" && e.Secret != "":
		err = s.addTOTP(ctx, u.ObjectID, form.Get("name"), e.Secret, form.Get("code"))
	default:
		return textStale, nil
	}
	var refused *arm.Error
	switch {
	case errors.Is(err, errWrongCode) && form.Get("action") == "key":
		return textWrongKey, nil
	case errors.Is(err, errWrongCode):
		return textWrongCode, nil
	case errors.As(err, &refused):
		return refused.Message, nil
	}
	return "", err
}

// showAppPassword makes an app password and shows it, once.
func (s *Service) showAppPassword(w http.ResponseWriter, r *http.Request, u directory.User) error {
	password, err := s.AddAppPassword(r.Context(), u.ObjectID, r.PostForm.Get("name"))
	var refused *arm.Error
	if errors.As(err, &refused) {
		return s.showSecurity(w, r, http.StatusBadRequest, u, refused.Message)
	}
	if err == nil {
		s.show(w, r, http.StatusOK, "apppassword", page{Title: "App password", Account: u.UPN, Secret: password}, "")
	}
	return err
}

// showSecurity renders the page with a new offer of each kind of factor.
func (s *Service) showSecurity(w http.ResponseWriter, r *http.Request, status int, u directory.User, problem string) error {
	view := page{Title: "Security settings", Account: u.UPN, Error: problem, Factors: u.Factors, AppPasswords: u.AppPasswords, Script: template.JS(factorScript)}
	e := enrolment{User: u.ObjectID, Made: s.now()}
	if s.options.Seal != nil {
		key, err := s.newTOTP(u)
		if err != nil {
			return err
		}
		if view.QR, err = drawQR(key); err != nil {
			return err
		}
		e.Secret, view.Secret = key.Secret(), spaced(key.Secret())
	}
	offer, session, err := offerKey(s.base(r), u)
	if err != nil {
		return err
	}
	if offer != nil {
		options, err := json.Marshal(offer.Response)
		if err != nil {
			return err
		}
		e.Key, view.KeyOptions = session, string(options)
	}
	view.Request = s.sealed(sealEnrol, e)
	s.show(w, r, status, "security", view, "")
	return nil
}

// drawQR draws the key for an application's camera, as SVG, which the page's policy lets
// stand in it without loading anything.
func drawQR(key *otp.Key) (template.HTML, error) {
	code, err := modules(key)
	if err != nil {
		return "", fmt.Errorf("draw the QR code: %w", err)
	}
	b, n := &strings.Builder{}, code.Bounds().Dx()
	fmt.Fprintf(b, `<svg class="qr" role="img" aria-label="QR code with the key" viewBox="-4 -4 %d %d"><path d="`, n+8, n+8)
	for y := range n {
		for x := range n {
			if v, _, _, _ := code.At(x, y).RGBA(); v == 0 {
				fmt.Fprintf(b, "M%d %dh1v1h-1z", x, y)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()), nil // digits and letters of ours
}

// modules is the code with one pixel a module: QR codes have 21 + 4n of them, and fewer
// are refused.
func modules(key *otp.Key) (code image.Image, err error) {
	for n := 21; n <= 177; n += 4 {
		if code, err = key.Image(n, n); err == nil {
			return code, nil
		}
	}
	return nil, err
}

// spaced sets a key in groups of four, to be typed.
func spaced(secret string) string {
	var b strings.Builder
	for i, c := range secret {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// sessionFor is a session that proves all its user has to.
func (s *Service) sessionFor(ctx context.Context, g directory.Grant) (directory.User, bool) {
	u, err := s.store.User(ctx, g.Subject)
	return u, err == nil && !u.Disabled && !g.AuthTime.Before(u.ValidFrom) && proved(u, g.Claims)
}

var scriptHashes = map[string]string{
	"post":     scriptHash,
	"factor":   sourceHash(factorScript),
	"security": sourceHash(factorScript),
}
