package signon

import _ "embed" // the profile

// PAMProfile is the hook's profile for Debian's pam-auth-update. It comes after the
// module of local accounts (priority 256): for those nothing changes, not even the
// prompt, and whatever the hook answers they get in or not as before. In common-auth
// it serves xrdp, sshd and, for people who administer the machine, sudo, for which the
// hook has to run with the effective user id.
//
//go:embed pam-profile
var PAMProfile string

// PAMProfilePath is where pam-auth-update finds it.
const PAMProfilePath = "/usr/share/pam-configs/deskyard"
