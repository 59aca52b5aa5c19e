place() { # $1 component, $2 version: from the package's files to a version of its own, whole or not at all
	from=/usr/lib/deskyard/$1
	root=/opt/deskyard/$1
	mkdir -p "$root" || exit 73
	if ! cmp -s "$from/manifest.json" "$root/$2/manifest.json"; then
		stage=$root/.stage-package
		rm -rf "$stage" && cp -a "$from" "$stage" || exit 73
		rm -rf "$root/.stage-old"
		[ ! -e "$root/$2" ] || mv "$root/$2" "$root/.stage-old" || exit 73
		sync -f "$stage" 2>/dev/null || sync
		mv "$stage" "$root/$2" || exit 73
		rm -rf "$root/.stage-old"
	fi
}

choose() { # $1 component, $2 version: on trial by the boot loader, or for its first start
	loader=/opt/deskyard/bootloader/current/deskyard-bootloader
	[ "$1" != bootloader ] || loader=/opt/deskyard/bootloader/$2/deskyard-bootloader
	if [ -x "$loader" ] && "$loader" use --if-newer "$1" "$2"; then
		return
	fi
	root=/opt/deskyard/$1
	now=$(readlink "$root/current" || true)
	if [ ! -e "$root/current" ] || dpkg --compare-versions "$2" gt "$now"; then
		rm -f "$root/.current-next"
		ln -s "$2" "$root/.current-next" && mv -T "$root/.current-next" "$root/current" || exit 73
	fi
}

in_systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }
