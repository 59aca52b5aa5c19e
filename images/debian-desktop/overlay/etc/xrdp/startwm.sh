#!/bin/sh
# A light desktop, or what the user's own ~/.xsession says.
[ ! -r /etc/profile ] || . /etc/profile
if [ -r /etc/default/locale ]; then
	. /etc/default/locale
	export LANG
fi
cd "$HOME" || cd /
if [ -x "$HOME/.xsession" ]; then exec "$HOME/.xsession"; fi
exec openbox-session
