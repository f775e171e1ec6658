#!/bin/sh
# Installs, upgrades, removes and purges the .deb of a release in a new Debian, with the server running in between.
# Usage, as root: chroot.sh DIST [DIST OF A LATER VERSION]
set -eu

first=$(ls "$1"/jeton_*_amd64.deb)
later=$(ls "${2:-$1}"/jeton_*_amd64.deb)

temp=$(mktemp -d)
root=$temp/root
server=""
clean() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || :
	rm -rf "$temp"
}
trap clean EXIT

debootstrap --variant=minbase bookworm "$root" >"$temp/log" 2>&1 || { tail "$temp/log" >&2; exit 1; }
cp "$first" "$root/first.deb"
cp "$later" "$root/later.deb"

fail() {
	echo "chroot.sh: $*" >&2
	exit 1
}
inside() { chroot "$root" "$@"; }

# As the unit starts it, on a port that is free here.
start() {
	: >"$temp/out"
	chroot --userspec=jeton:jeton "$root" /usr/bin/env HOME=/var/lib/jeton STATE_DIRECTORY=/var/lib/jeton \
		/usr/bin/jeton serve >"$temp/out" 2>"$temp/err" &
	server=$!
	until grep -q '^  admin' "$temp/out"; do
		kill -0 "$server" || { cat "$temp/err" >&2; fail "the server ended"; }
		sleep 0.2
	done
}
stop() {
	kill "$server"
	wait "$server" || fail "the server ended with an error"
	server=""
}

inside dpkg -i /first.deb >/dev/null
sed -i 's/8443/18443/' "$root/etc/jeton/jeton.yaml"
echo 'admin: {listen: "127.0.0.1:0"}' >>"$root/etc/jeton/jeton.yaml"
inside jeton config check >/dev/null

start
keys=$(inside jeton keys list --output json)
inside jeton status >/dev/null || fail "jeton status does not find the server"
inside dpkg -i /later.deb >/dev/null 2>&1 || fail "the upgrade failed"
grep -q 18443 "$root/etc/jeton/jeton.yaml" || fail "the upgrade replaced the configuration"
stop
start
[ "$(inside jeton keys list --output json)" = "$keys" ] || fail "the upgrade changed the data"
stop

inside dpkg -r jeton >/dev/null
[ ! -e "$root/usr/bin/jeton" ] || fail "the program is still there after the removal"
[ -e "$root/etc/jeton/jeton.yaml" ] || fail "the removal deleted the configuration"
said=$(inside dpkg -P jeton 2>&1) # a pipe to grep -q would end dpkg early
[ "$said" != "${said#*the data in /var/lib/jeton stays}" ] || fail "the purge says nothing about the data: $said"
[ ! -e "$root/etc/jeton/jeton.yaml" ] || fail "the purge left the configuration"
[ -e "$root/var/lib/jeton/jeton.db" ] || fail "the purge deleted the data"
[ -z "$(inside dpkg -L jeton 2>/dev/null)" ] || fail "the package is still known"

echo "installed, upgraded, removed and purged: $(basename "$first"), $(basename "$later")"
