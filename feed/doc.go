// Package feed is the users' door: what they may open, as JSON for the web client, as
// connection files (.rdp) for native clients and as a workspace feed ([MS-TSWP]) for
// those that subscribe; and the request that begins a connection.
//
//	GET  /connect/v1/feed                    workspaces with their desktops and applications
//	POST /connect/v1/connections             begins a connection: host, gateway, ticket
//	GET  /connect/v1/connections/{id}        what became of it, for its user
//	GET  /connect/v1/resources/{id}.rdp      a connection file; .rdpw for AVD's own request
//	GET  /connect/v1/icons/{id}.png|.ico     drawn here: icons of programs are on session hosts
//	POST /api/arm/v2/connections             AVD's own request, as FreeRDP 3 makes it with a .rdpw file
//	GET  /RDWeb/Feed/webfeed.aspx            the workspace feed
//	GET  /RDWeb/FeedLogin/WebFeedLogin.aspx  where its clients sign in, by NTLM with an app password
//
// All but icons and the feed want a bearer token of the service's issuer.
package feed
