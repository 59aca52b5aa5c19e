package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/deskyard/deskyard/e2e/desktop"
)

const (
	upn     = "ann@deskyard.local"
	openFor = 3 * time.Minute // a first desktop, under emulation on a busy machine
)

// giveDesk gives a user the pool's desktop.
func (t *tour) giveDesk(ctx context.Context) error {
	t.say("Makes what a user needs: application group, workspace, the user %s, roles", upn)
	var err error
	if t.ann, err = t.yard.Desk(ctx, upn); err != nil {
		return err
	}
	offered, err := t.ann.Resources(ctx)
	if err != nil {
		return err
	}
	if len(offered) != 1 {
		return fmt.Errorf("look at what %s is offered: %d resources, want the desktop", upn, len(offered))
	}
	t.rdpw = strings.TrimSuffix(offered[0].RDP, ".rdp") + ".rdpw"
	t.say("%s is offered: %s", upn, offered[0].FriendlyName)
	return nil
}

// openDesk opens the desktop in a headless browser, as its user will in theirs.
func (t *tour) openDesk(ctx context.Context) (err error) {
	t.say("Opens the desktop in headless Chromium")
	b, err := desktop.Browse(ctx, t.repo, t.yard.Service.Endpoint, t.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.Do(desktop.Order{"do": "signIn", "login": upn, "password": t.ann.Password}, nil); err != nil {
		return err
	}
	t.say("Signed in; the desktop's tile is there")
	if err := b.Do(desktop.Order{"do": "open", "button": "^Open ", "within": openFor.Milliseconds()}, nil); err != nil {
		return err
	}
	sessions, err := t.yard.Pool.Sessions(ctx, prefix+"-0")
	if err != nil {
		return err
	}
	if len(sessions) != 1 || !strings.EqualFold(sessions[0].Properties.UserPrincipalName, upn) || sessions[0].Properties.SessionState != "Active" {
		return fmt.Errorf("look at the sessions of %s-0: %+v, want an active one of %s", prefix, sessions, upn)
	}
	t.say("The desktop of %s-0 is on the canvas, with no second prompt; the session is listed Active, of %s", prefix, upn)
	return nil
}

// howToSee tells how to open the desktop.
func (t *tour) howToSee(context.Context) error {
	s := t.yard.Service
	at, err := url.Parse(s.Endpoint)
	if err != nil {
		return fmt.Errorf("read the service's address: %w", err)
	}
	t.say(`The desktop of %[1]s-0:

  in the browser  %[2]s/
  user            %[3]s
  password        %[4]s

  The browser warns of a certificate that it does not know: click through (Advanced,
  Proceed), or import %[5]s
  as an authority for websites. From another machine: ssh -L %[6]s:localhost:%[6]s here.
  The first desktop takes a while to appear where KVM is not to be had.

  FreeRDP 2       download the .rdp file from the desktop's menu (…) on that page, then
                  xfreerdp FILE.rdp /u:%[3]s /p:'%[4]s' /cert:ignore
  FreeRDP 3       export DESKYARD_TOKEN=$(%[7]s)
                  curl --cacert %[5]s -H "Authorization: Bearer $DESKYARD_TOKEN" \
                    %[2]s%[8]s -o desk.rdpw
                  SSL_CERT_FILE=%[5]s xfreerdp3 desk.rdpw \
                    "/gateway:type:arm,bearer:$DESKYARD_TOKEN" /azure:ad:%[9]s /u:%[3]s /p:unused /cert:ignore
`, prefix, s.Endpoint, upn, t.ann.Password, s.CAFile, at.Port(), t.tokenCommand(), t.rdpw, at.Host)
	return nil
}

// tokenCommand is a shell command that prints an access token of the user's.
func (t *tour) tokenCommand() string {
	s := t.yard.Service
	return fmt.Sprintf(`curl -s --cacert %s %s/%s/oauth2/v2.0/token -d grant_type=password -d client_id=04b07795-8ddb-461a-bbee-02f9e1bf7b46 \
                    -d username=%s --data-urlencode 'password=%s' -d scope=%s/.default | sed 's/.*"access_token":"\([^"]*\)".*/\1/'`,
		s.CAFile, s.Endpoint, s.TenantID, upn, t.ann.Password, s.Endpoint)
}
