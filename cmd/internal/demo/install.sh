#!/bin/sh
# Installs the servers that the demo and the tests start for themselves, from Debian 12's own packages: PostgreSQL 15, MariaDB,
# and the Python and libraries of Tryton, which itself is only unpacked into a cache by whoever starts it first. Nothing is
# installed that is only recommended, and no service is started or enabled. What is there already is left alone, and when all of
# it is, this is done in a blink.
#
#   install.sh [--ci]     --ci adds what only the tests need: strace
#
# Exit codes: 0 all there, 1 apt-get failed, 2 wrong use, 3 packages are missing and only root can install them.
set -eu

packages='postgresql-15 mariadb-server python3 libxml2 libxslt1.1 libmagic1 libpq5'
services='postgresql mariadb'

case "${1:-}" in
'') ;;
--ci) packages="$packages strace locales" ;;
*)
	echo "install: unknown argument '$1'; use: install.sh [--ci]" >&2
	exit 2
	;;
esac

say() { echo "install: $*"; }

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

if ! command -v dpkg-query >/dev/null 2>&1; then
	say "this is not a Debian system: dpkg-query was not found. Use a container of debian:bookworm." >&2
	exit 3
fi

missing=''
for p in $packages; do
	installed "$p" || missing="$missing $p"
done
if [ -z "$missing" ]; then
	say "everything is there"
	exit 0
fi

if [ "$(id -u)" != 0 ]; then
	say "missing:$missing" >&2
	say "only root can install them. Run:" >&2
	echo "  sudo apt-get install -y --no-install-recommends$missing" >&2
	say "(no service needs to run: the demo and the tests start servers of their own)" >&2
	exit 3
fi

# Debian starts a service when its package is installed, unless policy-rc.d says no. One that is there already is put back.
policy=/usr/sbin/policy-rc.d
kept=''
restore() {
	if [ -n "$kept" ]; then mv -f "$kept" "$policy"; else rm -f "$policy"; fi
}
if [ -e "$policy" ]; then
	kept="$policy.before-install"
	mv "$policy" "$kept"
fi
trap restore EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

before=''
for s in $services; do
	[ -e "/lib/systemd/system/$s.service" ] && before="$before $s "
done

log="${TMPDIR:-/tmp}/waybill-install.$$.log"
apt() { DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1; }

say "installing$missing"
known=yes
for p in $missing; do
	apt-cache show --no-all-versions "$p" >/dev/null 2>&1 || known=no
done
# The lists are read anew when a package is unknown to them, or when they are too old to fetch by.
if [ $known = no ]; then
	say "reading the package lists"
	apt update || { tail -n 15 "$log" >&2; say "apt-get update failed; its output is in $log" >&2; exit 1; }
fi
# $missing is a list of words.
# shellcheck disable=SC2086
if ! apt install -y --no-install-recommends $missing; then
	say "that failed; reading the package lists and trying once more"
	if ! apt update || ! apt install -y --no-install-recommends $missing; then
		tail -n 15 "$log" >&2
		say "apt-get failed; all it said is in $log" >&2
		exit 1
	fi
fi
rm -f "$log"

# A unit that this installation brought shall not start at the next boot either.
for s in $services; do
	case "$before" in *" $s "*) continue ;; esac
	[ -e "/lib/systemd/system/$s.service" ] || continue
	systemctl disable --quiet "$s.service" >/dev/null 2>&1 || rm -f "/etc/systemd/system/multi-user.target.wants/$s.service"
done
say "done; no service was started"
