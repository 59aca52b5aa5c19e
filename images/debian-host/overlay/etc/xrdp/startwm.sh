#!/bin/sh
# A light desktop: one window manager, one terminal.
[ -r /etc/profile ] && . /etc/profile
xterm &
exec openbox-session
