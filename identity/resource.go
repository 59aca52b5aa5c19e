package identity

import (
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// plainScopes name no resource: OpenID Connect's own, and one that AD FS clients send.
var plainScopes = []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeOfflineAccess, "allatclaims"}

// resourceOf finds the resource that a request is for, in the client's spelling,
// and the scopes to remember. A scope is a resource, a slash and a permission, so
// "https://host//.default" is for "https://host/" and "https://host/.default" for
// "https://host"; clients compare the audience with what they asked for.
func (s *Service) resourceOf(scopes []string, resource string, d door) (string, string, error) {
	kept := scopes
	for _, scope := range scopes {
		if slices.Contains(plainScopes, scope) {
			continue
		}
		i := strings.LastIndexByte(scope, '/')
		named := ""
		if i > 0 {
			named = scope[:i]
		} else {
			named = d.base + "/graph" // "User.Read" alone is a permission of Graph
		}
		if resource != "" && resourceKey(resource) != resourceKey(named) {
			return "", "", invalidScope("AADSTS28000: Provided value for the input parameter scope is not valid because it contains more than one resource. Scope %s is not valid.", clip(strings.Join(scopes, " ")))
		}
		if resource == "" {
			resource = named
		}
	}
	if resource == "" {
		resource = d.base + "/graph" // as Entra: whoever asks for nothing may ask who they are
	}
	if len(resource) > 256 || s.resources[resourceKey(resource)] == noResource {
		return "", "", (&oidc.Error{ErrorType: "invalid_resource"}).WithDescription("AADSTS500011: The resource principal named %s was not found in the tenant named %s. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
			clip(resource), s.tenant.DisplayName)
	}
	scope := strings.Join(kept, " ")
	if len(scope) > 2048 {
		return "", "", invalidScope("AADSTS70011: The provided value for the input parameter 'scope' is too long.")
	}
	return resource, scope, nil
}

// appResourceOf is resourceOf for an application on its own account, which must ask
// for everything it has on one resource.
func (s *Service) appResourceOf(scopes []string, resource string, d door) (string, error) {
	if resource == "" && len(scopes) == 0 {
		return "", oidc.ErrInvalidRequest().WithDescription("AADSTS900144: The request body must contain the following parameter: 'scope'.")
	}
	for _, scope := range scopes {
		if !strings.HasSuffix(scope, "/.default") && !slices.Contains(plainScopes, scope) {
			return "", invalidScope("AADSTS1002012: The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", clip(scope))
		}
	}
	resource, _, err := s.resourceOf(scopes, resource, d)
	return resource, err
}

func invalidScope(format string, args ...any) error {
	return oidc.ErrInvalidScope().WithDescription(format, args...)
}
