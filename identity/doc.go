// Package identity is the embedded directory and the OpenID Connect issuer: who is
// asking. What they may do is package rbac's.
//
// Unmodified Azure clients must be able to sign in, so the issuer is shaped like
// Microsoft Entra ID and, for clients that would otherwise look for
// login.microsoftonline.com, like AD FS. Both shapes lead to the same issuer:
//
//	/{tenant}/v2.0/.well-known/openid-configuration     /adfs/.well-known/openid-configuration
//	/{tenant}/oauth2/v2.0/{authorize,token,…}           /adfs/oauth2/{authorize,token,…}
//	/{tenant}/oauth2/token           (v1, resource=)
//	/{tenant}/discovery/v2.0/keys                       /adfs/discovery/keys
//	/common/discovery/instance       instance metadata  /devicelogin, /signin, /signout, /security: pages for people
//
// A request goes through three layers: door.go finds out which shape it has, limits
// it and puts errors in Entra's form; zitadel/oidc decodes it and checks what the
// standards prescribe; issuer*.go decides and mints. The password grant, which that
// library leaves out, has a handler of its own in passwordgrant.go.
//
// Access tokens are RS256 JWTs with Entra's claims, an hour long. What a token says
// is not taken for granted: Authenticate looks up the account and its groups, at
// most thirty seconds old, so that disabling an account works at once on this node
// and within that time on others.
package identity
