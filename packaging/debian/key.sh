# Exit codes of the maintainer scripts, which dpkg reports as "error exit status N":
#   65  the registration key is not a JWT on a single line
#   73  a file or folder of Deskyard could not be written
# dpkg itself then exits with 1, apt with 100.

# The key is handled by the shell's own commands alone: it is never an argument of a
# program, where others could read it, and never printed.
LC_ALL=C
export LC_ALL

trim() { # sets trimmed to $1 without the white space around it
	trimmed=$1
	while :; do
		case "$trimmed" in
		[[:space:]]*) trimmed=${trimmed#?} ;;
		*[[:space:]]) trimmed=${trimmed%?} ;;
		*) return ;;
		esac
	done
}

check_key() { # $1: three parts of base64url with dots between, nothing else
	case "$1" in
	*[!A-Za-z0-9_.-]* | *.*.*.* | .* | *. | *..*) ;;
	*.*.*) [ ${#1} -le 16384 ] && return ;;
	esac
	echo "deskyard-agent: the registration key is not a token on a single line (three parts with dots between). Copy it again from the host pool." >&2
	exit 65
}

key_from_environment() { # sets key; AVD's installer shows INVALID_TOKEN where none is needed
	trim "$REGISTRATIONTOKEN"
	key=$trimmed
	unset REGISTRATIONTOKEN
	[ "$key" != INVALID_TOKEN ] || key=
	[ -z "$key" ] || check_key "$key"
}
