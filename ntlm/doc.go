// Package ntlm is the server's side of NTLMv2 over HTTP ([MS-NLMP] 2.2.1, 3.3.2;
// [MS-NTHT]): Microsoft's clients of workspace feeds know no other way to sign in to a
// server outside of their domain.
//
//	client                                     server
//	  GET ────────────────────────────────────▶
//	  ◀─────────────── 401 WWW-Authenticate: NTLM
//	  Authorization: NTLM negotiate ──────────▶
//	  ◀───── 401 WWW-Authenticate: NTLM challenge      eight random bytes, for this connection
//	  Authorization: NTLM authenticate ───────▶   HMAC-MD5 over them, keyed by the password's hash
//
// NTLM is weak: what a listener records can be searched for the password, and the hash
// that the server needs is as good as the password. So it is used inside TLS only, and
// for generated passwords of 160 random bits only, which no search finds. NTLMv1 and
// session keys are not there.
package ntlm
