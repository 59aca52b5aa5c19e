package identity

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

//go:embed pages.html
var pagesHTML string

//go:embed pages.css
var pagesCSS string

var pageTemplates = template.Must(template.New("pages").Parse(pagesHTML))

// submitScript sends the form of an answer by form_post on its way.
const submitScript = "document.forms[0].submit()"

// The pages' only style and script are named by their hashes, so that nothing that
// is smuggled into a page runs or loads.
var (
	styleHash  = sourceHash(pagesCSS)
	scriptHash = sourceHash(submitScript)
)

func sourceHash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// page is what the templates show.
type page struct {
	Title, Text, Error, Correlation string
	App, Account, Hint, UserCode    string
	Request, CSRF                   string
	RedirectURI, Code, State        string
	Provider, Elsewhere             string // an OpenID provider's name, and where the way there begins
	TOTP                            bool   // the person has an authenticator application
	KeyOptions                      string // JSON for the browser's security keys; "" for none
	Factors                         []directory.Factor
	AppPasswords                    []directory.AppPassword
	QR                              template.HTML
	Secret                          string // of the application to be added, to be typed
	Style                           template.CSS
	Script                          template.JS
}

// newPages routes the pages for people. Requests from other origins' pages end here.
func (s *Service) newPages() http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), requestKey, r)
		r = r.WithContext(ctx)
		var err error
		path := strings.ToLower(strings.Trim(r.URL.Path, "/"))
		read := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case !read && r.Method != http.MethodPost:
			w.Header().Set("Allow", "GET, HEAD, POST")
			s.showError(w, r, http.StatusMethodNotAllowed, "This page takes GET and POST requests only.", "")
		case path == "signin" && read:
			s.showSignIn(w, r)
		case path == "signin":
			err = s.signIn(w, r)
		case path == "signin/factor" && !read:
			err = s.proveFactor(w, r)
		case path == "signin/elsewhere" && read:
			err = s.goElsewhere(w, r)
		case path == "signin/back" && read:
			err = s.comeBack(w, r)
		case path == "security":
			err = s.security(w, r)
		case path == "devicelogin" && read:
			s.show(w, r, http.StatusOK, "device", page{Title: "Sign in another device", UserCode: clip(r.URL.Query().Get("user_code"))}, "")
		case path == "devicelogin":
			err = s.enterCode(w, r)
		default:
			err = s.signOut(w, r)
		}
		if err != nil {
			s.log.ErrorContext(ctx, "sign-in page broken off", "path", path, "error", err)
			s.showError(w, r, http.StatusInternalServerError, "AADSTS90033: A transient error has occurred. Please try again.", correlationID(r))
		}
	}))
}

// show renders a page; redirectURI is where its form may lead besides here.
func (s *Service) show(w http.ResponseWriter, r *http.Request, status int, name string, p page, redirectURI string) {
	p.Style = template.CSS(pagesCSS)
	if p.Script == "" {
		p.Script = submitScript
	}
	p.CSRF = s.csrf(w, r)
	var b bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&b, name, p); err != nil {
		s.log.ErrorContext(r.Context(), "page not rendered", "page", name, "error", err)
		http.Error(w, "The page could not be shown.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	policy := "default-src 'none'; style-src " + styleHash + "; base-uri 'none'; frame-ancestors 'none'; form-action 'self'" + formTarget(redirectURI)
	if hash := scriptHashes[name]; hash != "" {
		policy += "; script-src " + hash
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser is gone if this fails: there is nobody to tell
}

// showError tells a person what went wrong.
func (s *Service) showError(w http.ResponseWriter, r *http.Request, status int, text, correlation string) {
	s.show(w, r, status, "message", page{Title: "Sign-in did not work", Error: text, Correlation: correlation,
		Text: "Go back to the program that sent you here and start again."}, "")
}

// originForm is what may stand in a policy: scheme, host and port, or a scheme alone.
var originForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:(//[a-zA-Z0-9.:\[\]-]+)?$`)

// formTarget lets a form lead to the client's redirect URI: browsers apply
// form-action to the redirect that answers a form, too.
func formTarget(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil || u.Scheme == "" {
		return ""
	}
	origin := u.Scheme + ":"
	if u.Host != "" {
		origin += "//" + u.Host
	}
	if !originForm.MatchString(origin) {
		return ""
	}
	return " " + origin
}

const csrfCookieName = "__Host-deskyard-form"

// csrf is the token for this browser's forms, bound to a cookie that other sites
// cannot set or send.
func (s *Service) csrf(w http.ResponseWriter, r *http.Request) string {
	value := ""
	if c, err := r.Cookie(csrfCookieName); err == nil && len(c.Value) == 22 {
		value = c.Value
	} else {
		value = randomHandle(16)
		http.SetCookie(w, &http.Cookie{Name: csrfCookieName, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	}
	return s.csrfToken(value)
}

func (s *Service) csrfToken(cookie string) string {
	return base64.RawURLEncoding.EncodeToString(s.keys.MAC([]byte("form\n" + cookie)))
}

func (s *Service) csrfValid(r *http.Request) bool {
	c, err := r.Cookie(csrfCookieName)
	return err == nil && hmac.Equal([]byte(s.csrfToken(c.Value)), []byte(r.PostForm.Get("csrf")))
}

// signOut ends the browser's session when its own form asks for it, and asks
// whether to when a link led here.
func (s *Service) signOut(w http.ResponseWriter, r *http.Request) error {
	_, u, signedIn := s.session(r.Context(), r)
	if signedIn && (r.Method != http.MethodPost || !s.csrfValid(r)) {
		s.show(w, r, http.StatusOK, "signout", page{Title: "Sign out", Account: u.UPN}, "")
		return nil
	}
	if err := s.endSession(r.Context(), r); err != nil {
		return err
	}
	http.SetCookie(w, sessionCookie("", -1))
	s.show(w, r, http.StatusOK, "message", page{Title: "You are signed out", Text: "You may close this window."}, "")
	return nil
}

const textStale = "The page was open for too long, or cookies are switched off."

func (s *Service) showSignIn(w http.ResponseWriter, r *http.Request) {
	p, err := s.unseal(r.URL.Query().Get("request"))
	if err != nil {
		s.showError(w, r, http.StatusBadRequest, textStale, "")
		return
	}
	s.askSignIn(w, r, http.StatusOK, p, r.URL.Query().Get("request"), "")
}

// askSignIn shows the sign-in form.
func (s *Service) askSignIn(w http.ResponseWriter, r *http.Request, status int, p pending, sealed, problem string) {
	view := page{Title: "Sign in", App: p.App, Hint: p.Hint, UserCode: p.UserCode, Request: sealed, Error: problem}
	if s.options.Provider != nil {
		view.Provider, view.Elsewhere = s.options.Provider.Name(), elsewhereURL(sealed)
	}
	if _, u, ok := s.session(r.Context(), r); ok && !p.Fresh {
		view.Account = u.UPN
	}
	s.show(w, r, status, "signin", view, p.RedirectURI)
}

// signIn handles the sign-in form.
func (s *Service) signIn(w http.ResponseWriter, r *http.Request) error {
	ctx, sealed := r.Context(), r.PostForm.Get("request")
	p, err := s.unseal(sealed)
	if err != nil || !s.csrfValid(r) {
		s.showError(w, r, http.StatusBadRequest, textStale, "")
		return nil
	}
	switch r.PostForm.Get("action") {
	case "cancel":
		return s.decline(w, r, p)
	case "continue":
		session, u, ok := s.session(ctx, r)
		if !ok || p.Fresh {
			s.askSignIn(w, r, http.StatusOK, p, sealed, "Your session has ended. Enter your password.")
			return nil
		}
		return s.complete(w, r, p, u, session)
	}
	p.Hint = r.PostForm.Get("username")
	u, err := s.verifyUser(ctx, r, p.Hint, r.PostForm.Get("password"))
	if err != nil {
		text, known := signInText(err)
		if !known {
			return err
		}
		status := http.StatusUnauthorized
		if errors.Is(err, errTooMany) {
			status = http.StatusTooManyRequests
		}
		_, text, _ = strings.Cut(text, ": ") // people need no number
		s.askSignIn(w, r, status, p, sealed, text)
		return nil
	}
	if needsFactor(u) {
		return s.askFactor(w, r, http.StatusOK, p, sealed, u, "")
	}
	return s.begin(w, r, p, u, methodPassword)
}

// complete gives the client what it waits for.
func (s *Service) complete(w http.ResponseWriter, r *http.Request, p pending, u directory.User, session directory.Grant) error {
	if p.Device != "" {
		err := s.decideDevice(r.Context(), p, session, true)
		if errors.Is(err, errExpired) {
			s.showError(w, r, http.StatusBadRequest, "The code has expired, or was used already.", "")
			return nil
		}
		if err == nil {
			s.show(w, r, http.StatusOK, "message", page{Title: "You are signed in", Text: "You have signed in to " + p.App + " on your device. You may close this window."}, "")
		}
		return err
	}
	if p.Page != "" {
		http.Redirect(w, r, p.Page, http.StatusSeeOther)
		return nil
	}
	if p.Mode == string(oidc.ResponseModeFormPost) {
		code, err := s.newCode(r.Context(), p, u.ObjectID, session)
		if err == nil {
			s.show(w, r, http.StatusOK, "post", page{Title: "Signed in", App: p.App, RedirectURI: p.RedirectURI, Code: code, State: p.State}, p.RedirectURI)
		}
		return err
	}
	to, err := s.codeURL(r.Context(), p, u.ObjectID, session)
	if err == nil {
		http.Redirect(w, r, to, http.StatusSeeOther)
	}
	return err
}

// decline tells the client that the person does not want to sign in.
func (s *Service) decline(w http.ResponseWriter, r *http.Request, p pending) error {
	if p.Device != "" {
		if err := s.decideDevice(r.Context(), p, directory.Grant{}, false); err != nil && !errors.Is(err, errExpired) {
			return err
		}
		s.show(w, r, http.StatusOK, "message", page{Title: "Sign-in cancelled", Text: "The device was not signed in. You may close this window."}, "")
		return nil
	}
	if p.Page != "" {
		s.show(w, r, http.StatusOK, "message", page{Title: "Sign-in cancelled", Text: "You may close this window."}, "")
		return nil
	}
	denied := oidc.ErrAccessDenied().WithDescription("AADSTS65004: User declined to sign in.")
	denied.State = p.State
	if p.Mode == string(oidc.ResponseModeFormPost) {
		p.Mode = string(oidc.ResponseModeQuery)
	}
	to, err := answerURL(p, denied)
	if err == nil {
		http.Redirect(w, r, to, http.StatusSeeOther)
	}
	return err
}

// enterCode handles the form for a device's code.
func (s *Service) enterCode(w http.ResponseWriter, r *http.Request) error {
	again := func(status int, problem string) {
		s.show(w, r, status, "device", page{Title: "Sign in another device", UserCode: clip(r.PostForm.Get("user_code")), Error: problem}, "")
	}
	if !s.csrfValid(r) {
		again(http.StatusBadRequest, textStale)
		return nil
	}
	if !s.attempts.allow(originKey(s.address(r))) {
		again(http.StatusTooManyRequests, "Too many attempts. Try again in a minute.")
		return nil
	}
	typed := strings.Map(func(c rune) rune {
		if c == ' ' || c == '-' {
			return -1
		}
		return c
	}, strings.ToUpper(r.PostForm.Get("user_code")))
	g, err := s.store.DeviceGrant(r.Context(), hashOf(typed))
	if err != nil && !arm.IsMissing(err) {
		return err
	}
	if err != nil || g.Subject != "" || g.Denied || !s.now().Before(g.ExpiresAt) {
		again(http.StatusBadRequest, "That code is not known, or has expired. Check it, or have your device show a new one.")
		return nil
	}
	c, err := s.findClient(r.Context(), g.AppID)
	if err != nil {
		again(http.StatusBadRequest, "The program that shows this code may no longer sign in.")
		return nil
	}
	p := pending{Base: s.base(r), AppID: c.sp.AppID, App: c.sp.DisplayName, Device: g.Hash, UserCode: typed, Made: s.now()}
	http.Redirect(w, r, "/signin?request="+url.QueryEscape(s.seal(p)), http.StatusSeeOther)
	return nil
}
