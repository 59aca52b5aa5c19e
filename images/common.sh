# shellcheck shell=bash
# What the recipes of this folder share. A recipe sources it and then has
# say, die, need, sources, key_of, cached, progress and bootstrap.
#
# Recipes need no root, loop device or mount: mmdebstrap lays out a tar, mke2fs -d
# turns a folder into a file system.
PATH=$PATH:/usr/sbin:/sbin
suite=bookworm
cache=${DESKYARD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/deskyard}/images

say() { printf 'image: %s\n' "$*" >&2; }
die() {
	printf 'image: %s\n' "$*" >&2
	exit 1
}

# need TOOL=PACKAGE…: all that is missing is named at once.
need() {
	local pair missing=
	for pair in "$@"; do
		command -v "${pair%%=*}" >/dev/null || missing="$missing ${pair#*=}"
	done
	[ -z "$missing" ] || die "tools are missing on this machine: apt-get install$missing"
}

# sources prints Debian's sources as one-line entries: of the mirror that is given, or
# the machine's own, from its configuration alone, since the lists may not have been
# fetched.
sources() { # [mirror]
	if [ -n "${1:-}" ]; then
		printf 'deb %s %s main\n' "$1" "$suite" "$1" "$suite-updates"
		printf 'deb %s %s-security main\n' "${1%/debian}/debian-security" "$suite"
		return
	fi
	apt-get indextargets --no-release-info --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' |
		LC_ALL=C sort -u |
		while IFS='|' read -r uri release component; do
			case $release/$component in
			"$suite"/main | "$suite"-updates/main | "$suite"-security/main)
				printf 'deb %s %s %s\n' "$uri" "$release" "$component"
				;;
			esac
		done
}

# key_of hashes the named files and folders, with their modes, and what is given on
# stdin: the name of a result in the cache.
key_of() { # path…
	{
		local path
		for path in "$@"; do
			(cd "$path" 2>/dev/null || cd "$(dirname "$path")" && find "./$([ -d "$path" ] || basename "$path")" -type f -printf '%m ' -exec sha256sum {} \;) | LC_ALL=C sort
		done
		cat
	} | sha256sum | cut -c1-16
}

# progress shows how far mmdebstrap is, from the lines of its log: on one line of a
# terminal, or, for a program that shows it, as lines "progress: DONE TOTAL TEXT".
progress() { # log total
	local phase=download count=0 line start
	start=$(date +%s)
	while IFS= read -r line; do
		printf '%s\n' "$line" >>"$1"
		case $line in
		I:*) phase=${line#I: } ;;
		Get:*) phase="downloads packages" ;;
		Unpacking*) count=$((count + 1)) phase="unpacks packages" ;;
		"Setting up"*) count=$((count + 1)) phase="sets up packages" ;;
		*) continue ;;
		esac
		if [ -n "${DESKYARD_PROGRESS:-}" ]; then
			printf 'progress: %d %d %s\n' "$count" "$2" "$phase" >&2
		elif [ -t 2 ]; then
			printf '\rimage: %4ds  %-60.60s %4d packages ' $(($(date +%s) - start)) "$phase" "$count" >&2
		fi
	done
	[ ! -t 2 ] || [ -n "${DESKYARD_PROGRESS:-}" ] || printf '\n' >&2
}

# bootstrap makes WORK/root.tar: Debian with the packages that a file lists, one a
# line. Its other arguments are mmdebstrap's. WORK/build.log says what happened.
bootstrap() { # work packages mirrors [mmdebstrap option…]
	local work=$1 include mode=unshare packages=$2 mirrors=$3
	shift 3
	apt-config dump --format '%F "%v";%n' Acquire | grep -E '^Acquire::(http|https|Check-|Retries)' >"$work/apt.conf" || true
	include=$(grep -v -e '^#' -e '^$' "$packages" | paste -sd,)
	[ "$(id -u)" -ne 0 ] || mode=root
	nice mmdebstrap --mode=$mode --variant=minbase --format=tar --architectures=amd64 --verbose \
		--include="$include" --aptopt="$work/apt.conf" \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		--essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" && echo "MODULES=list" >"$1/etc/initramfs-tools/conf.d/guest"' \
		"$@" "$suite" "$work/root.tar" - <<<"$mirrors" 2>&1 | progress "$work/build.log" 1000 ||
		{
			tail -n 25 "$work/build.log" >&2
			mv "$work/build.log" "$cache/failed-build.log"
			die "mmdebstrap ended with an error: its last lines are above, all of them in $cache/failed-build.log"
		}
}
