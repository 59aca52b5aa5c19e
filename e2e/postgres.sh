#!/bin/sh
# Runs the store's conformance suite, and that of connections on it, against a real
# PostgreSQL: starts a server in a temporary directory on a loopback port, and stops
# it again whatever happens. Needs Debian's "postgresql" package. Arguments go to go test.
set -eu

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
if [ -z "$bin" ]; then
	echo "postgres: SKIP (no server below /usr/lib/postgresql; apt-get install postgresql)"
	exit 0
fi
repo=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
server=

# The server refuses to run as root.
as=
if [ "$(id -u)" = 0 ]; then
	as="setpriv --reuid=postgres --regid=postgres --init-groups --"
fi

clean_up() {
	if [ -n "$server" ]; then
		kill -INT "$server" 2>/dev/null || true # fast shutdown
		wait "$server" 2>/dev/null || true
	fi
	rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

cd "$dir"
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
(umask 077 && printf '%s' "$password" >"$dir/password")
if [ -n "$as" ]; then
	chown -R postgres: "$dir"
fi
# A language's collation, unlike C's, would sort keys in another order than SQLite:
# the store must not depend on the server's.
$as "$bin/initdb" --pgdata="$dir/data" --username=deskyard --pwfile="$dir/password" --auth=scram-sha-256 \
	--encoding=UTF8 --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US >"$dir/initdb.log" 2>&1 || {
	cat "$dir/initdb.log"
	echo "postgres: FAIL (initdb)"
	exit 1
}
port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 10000))
$as "$bin/postgres" -D "$dir/data" -p "$port" \
	-c listen_addresses=127.0.0.1 -c unix_socket_directories= >"$dir/server.log" 2>&1 &
server=$!
tries=0
until "$bin/pg_isready" --quiet --host=127.0.0.1 --port="$port"; do
	tries=$((tries + 1))
	if [ "$tries" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
		cat "$dir/server.log"
		echo "postgres: FAIL (the server did not start on port $port)"
		exit 1
	fi
	sleep 0.1
done
if ! kill -0 "$server" 2>/dev/null; then # another server answered on that port
	cat "$dir/server.log"
	echo "postgres: FAIL (the server did not start on port $port)"
	exit 1
fi

cd "$repo"
if DESKYARD_TEST_POSTGRES="postgres://deskyard:$password@127.0.0.1:$port/postgres?sslmode=disable" \
	go test -count=1 -p 1 "$@" ./sqlstore ./connect; then
	echo "postgres: ok ($("$bin/postgres" --version))"
else
	echo "postgres: FAIL ($("$bin/postgres" --version))"
	exit 1
fi
