package identity

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// wireSecrets lists secrets without what is secret of them.
func wireSecrets(secrets []directory.Secret) []map[string]any {
	out := []map[string]any{}
	for _, s := range secrets {
		out = append(out, wireSecret(s, nil))
	}
	return out
}

func wireSecret(s directory.Secret, text any) map[string]any {
	return map[string]any{
		"keyId": s.ID, "displayName": s.DisplayName, "hint": s.Hint, "secretText": text, "customKeyIdentifier": nil,
		"startDateTime": wireTime(s.CreatedAt), "endDateTime": wireTime(s.ExpiresAt),
	}
}

func wireServicePrincipal(sp directory.ServicePrincipal, tenant string) map[string]any {
	return map[string]any{
		"id": sp.ObjectID, "appId": sp.AppID, "displayName": sp.DisplayName, "appDisplayName": sp.DisplayName, "accountEnabled": !sp.Disabled,
		"servicePrincipalType": "Application", "servicePrincipalNames": []string{sp.AppID}, "appOwnerOrganizationId": tenant,
		"replyUrls": append([]string{}, sp.RedirectURIs...), "signInAudience": "AzureADMyOrg", "tags": []string{}, "alternativeNames": []string{},
		"passwordCredentials": wireSecrets(sp.Secrets), "keyCredentials": []any{}, "appRoles": []any{}, "oauth2PermissionScopes": []any{},
		"createdDateTime": wireTime(sp.CreatedAt),
	}
}

func wireApplication(sp directory.ServicePrincipal) map[string]any {
	web, public := append([]string{}, sp.RedirectURIs...), []string{}
	if sp.Public {
		web, public = public, web
	}
	return map[string]any{
		"id": sp.ApplicationID, "appId": sp.AppID, "displayName": sp.DisplayName, "signInAudience": "AzureADMyOrg", "identifierUris": []string{},
		"passwordCredentials": wireSecrets(sp.Secrets), "keyCredentials": []any{}, "appRoles": []any{}, "requiredResourceAccess": []any{},
		"web": map[string]any{"redirectUris": web}, "publicClient": map[string]any{"redirectUris": public}, "spa": map[string]any{"redirectUris": []string{}},
		"isFallbackPublicClient": sp.Public, "createdDateTime": wireTime(sp.CreatedAt),
	}
}

// principalAttributes are what both collections can be filtered by; they differ in
// the id alone.
func principalAttributes(sp directory.ServicePrincipal, id string) attributes {
	return func(p string) ([]string, bool) {
		switch strings.ToLower(p) {
		case "id":
			return []string{id}, true
		case "appid", "serviceprincipalnames":
			return []string{sp.AppID}, true
		case "displayname", "appdisplayname":
			return []string{sp.DisplayName}, true
		case "identifieruris", "alternativenames", "tags":
			return nil, true
		case "accountenabled":
			return []string{boolText(!sp.Disabled)}, true
		case "serviceprincipaltype":
			return []string{"Application"}, true
		}
		return nil, false
	}
}

// byAppID looks a filter's application up.
func (c *graphCall) byAppID(ctx context.Context, f *filter) (*directory.ServicePrincipal, bool, error) {
	for _, property := range []string{"appId", "servicePrincipalNames"} {
		if id, ok := f.equals(property); ok {
			return orNone(c.s.store.ServicePrincipalByAppID(ctx, strings.ToLower(id)))
		}
	}
	return nil, false, nil
}

func (c *graphCall) listServicePrincipals(ctx context.Context) (int, any, error) {
	return list(ctx, c, listing[directory.ServicePrincipal]{
		of: "servicePrincipals", fetch: c.s.store.ServicePrincipals, look: c.byAppID,
		attr:   func(sp directory.ServicePrincipal) attributes { return principalAttributes(sp, sp.ObjectID) },
		render: func(sp directory.ServicePrincipal) map[string]any { return wireServicePrincipal(sp, c.s.tenant.ID) },
	})
}

func (c *graphCall) listApplications(ctx context.Context) (int, any, error) {
	return list(ctx, c, listing[directory.ServicePrincipal]{
		of: "applications", fetch: c.s.store.ServicePrincipals, look: c.byAppID,
		attr:   func(sp directory.ServicePrincipal) attributes { return principalAttributes(sp, sp.ApplicationID) },
		render: wireApplication,
	})
}

// principalNamed finds the service principal of a path: by its own id, by the id of
// its application object, or by application id.
func (c *graphCall) principalNamed(ctx context.Context) (directory.ServicePrincipal, error) {
	id := strings.ToLower(c.ids[0])
	sp, err := c.s.ServicePrincipal(ctx, id)
	if arm.IsMissing(err) {
		sp, err = c.s.store.ServicePrincipalByApplicationID(ctx, id)
	}
	if arm.IsMissing(err) {
		err = notFound(c.ids[0])
	}
	return sp, err
}

func (c *graphCall) getServicePrincipal(ctx context.Context) (int, any, error) {
	sp, err := c.principalNamed(ctx)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.one("servicePrincipals", wireServicePrincipal(sp, c.s.tenant.ID)), nil
}

func (c *graphCall) getApplication(ctx context.Context) (int, any, error) {
	sp, err := c.principalNamed(ctx)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.one("applications", wireApplication(sp)), nil
}

// applicationBody is what may be written of an application or its service principal.
type applicationBody struct {
	AppID       string    `json:"appId"`
	DisplayName *string   `json:"displayName"`
	Enabled     *bool     `json:"accountEnabled"`
	Public      *bool     `json:"isFallbackPublicClient"`
	ReplyURLs   *[]string `json:"replyUrls"`
	Web         *uriList  `json:"web"`
	Spa         *uriList  `json:"spa"`
	Native      *uriList  `json:"publicClient"`
}

type uriList struct {
	RedirectURIs *[]string `json:"redirectUris"`
}

// redirects joins the lists of redirect URIs; nil when none was sent.
func (b applicationBody) redirects() *[]string {
	var all []string
	sent := b.ReplyURLs != nil
	if sent {
		all = append(all, *b.ReplyURLs...)
	}
	for _, l := range []*uriList{b.Web, b.Spa, b.Native} {
		if l != nil && l.RedirectURIs != nil {
			sent = true
			all = append(all, *l.RedirectURIs...)
		}
	}
	if !sent {
		return nil
	}
	return &all
}

func (c *graphCall) makeApplication(ctx context.Context) (directory.ServicePrincipal, error) {
	var b applicationBody
	if err := c.decode(&b); err != nil {
		return directory.ServicePrincipal{}, err
	}
	if b.DisplayName == nil {
		return directory.ServicePrincipal{}, badRequest("displayName", "A value is required for property 'displayName' of resource 'Application'.")
	}
	n := NewServicePrincipal{DisplayName: *b.DisplayName, Public: b.Public != nil && *b.Public}
	set(&n.RedirectURIs, b.redirects())
	sp, err := c.s.CreateServicePrincipal(ctx, n)
	c.object = sp.ObjectID
	return sp, err
}

func (c *graphCall) createApplication(ctx context.Context) (int, any, error) {
	sp, err := c.makeApplication(ctx)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, c.one("applications", wireApplication(sp)), nil
}

// createServicePrincipal makes an application by displayName. With appId, as az sends
// it after creating the application, it answers with the one that came with it.
func (c *graphCall) createServicePrincipal(ctx context.Context) (int, any, error) {
	var b applicationBody
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	var sp directory.ServicePrincipal
	var err error
	if b.AppID == "" {
		sp, err = c.makeApplication(ctx)
	} else if sp, err = c.s.store.ServicePrincipalByAppID(ctx, strings.ToLower(b.AppID)); arm.IsMissing(err) {
		err = arm.Errorf(arm.Invalid, "NoBackingApplicationObject", "The appId '%s' of the service principal does not reference a valid application object.", clip(b.AppID))
	}
	if err != nil {
		return 0, nil, err
	}
	c.object = sp.ObjectID
	return http.StatusCreated, c.one("servicePrincipals", wireServicePrincipal(sp, c.s.tenant.ID)), nil
}

func (c *graphCall) patchServicePrincipal(ctx context.Context) (int, any, error) {
	var b applicationBody
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	sp, err := c.principalNamed(ctx)
	if err != nil {
		return 0, nil, err
	}
	change := ServicePrincipalChange{DisplayName: b.DisplayName, RedirectURIs: b.redirects()}
	if b.Enabled != nil {
		off := !*b.Enabled
		change.Disabled = &off
		if off {
			if err := c.notSelf(sp.ObjectID); err != nil {
				return 0, nil, err
			}
		}
	}
	_, err = c.s.UpdateServicePrincipal(ctx, sp.ObjectID, change)
	return http.StatusNoContent, nil, err
}

func (c *graphCall) deleteServicePrincipal(ctx context.Context) (int, any, error) {
	sp, err := c.principalNamed(ctx)
	if err == nil {
		err = c.notSelf(sp.ObjectID)
	}
	if err == nil {
		err = c.s.DeleteServicePrincipal(ctx, sp.ObjectID)
	}
	return http.StatusNoContent, nil, err
}

// addPassword makes a secret and shows it this once.
func (c *graphCall) addPassword(ctx context.Context) (int, any, error) {
	var b struct {
		Credential struct {
			DisplayName string    `json:"displayName"`
			End         *arm.Time `json:"endDateTime"`
		} `json:"passwordCredential"`
	}
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	sp, err := c.principalNamed(ctx)
	if err != nil {
		return 0, nil, err
	}
	var expires time.Time
	if b.Credential.End != nil {
		expires = b.Credential.End.Time
	}
	record, text, err := c.s.AddSecret(ctx, sp.ObjectID, b.Credential.DisplayName, expires)
	if err != nil {
		return 0, nil, err
	}
	w := wireSecret(record, text)
	w["@odata.context"] = c.context("microsoft.graph.passwordCredential")
	return http.StatusOK, w, nil
}

func (c *graphCall) removePassword(ctx context.Context) (int, any, error) {
	var b struct {
		KeyID string `json:"keyId"`
	}
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	sp, err := c.principalNamed(ctx)
	if err == nil {
		err = c.s.RemoveSecret(ctx, sp.ObjectID, b.KeyID)
	}
	return http.StatusNoContent, nil, err
}
