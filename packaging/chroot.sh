#!/bin/sh
# Installs, upgrades and removes the packages of a release, each in a new root, with the server running in between.
# Usage, as root: [KINDS='deb rpm'] chroot.sh DIST [DIST OF A LATER VERSION]; with debootstrap, rpm, pacman and
# busybox-static.
set -eu

first=$1
later=${2:-$1}

temp=$(mktemp -d)
root=""
server=""
clean() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || :
	rm -rf "$temp"
}
trap clean EXIT

fail() {
	echo "chroot.sh: $kind: $*" >&2
	exit 1
}
inside() { chroot "$root" "$@"; }

# file DIST: the package of the kind.
file() {
	case $kind in
	deb) ls "$1"/jeton_*_amd64.deb ;;
	rpm) ls "$1"/jeton-*.x86_64.rpm ;;
	apk) ls "$1"/jeton_*_x86_64.apk ;;
	archlinux) ls "$1"/jeton-*-x86_64.pkg.tar.zst ;;
	esac
}

# The package managers of other distributions run outside, and know nothing of what is in the root.
rpm_root() { rpm --root "$root" --nodeps "$@"; }
pacman_root() {
	printf '[options]\nSigLevel = Never\nArchitecture = auto\n' >"$temp/pacman.conf"
	mkdir -p "$root/var/lib/pacman"
	pacman --config "$temp/pacman.conf" --root "$root" --dbpath "$root/var/lib/pacman" --logfile /dev/null \
		--noconfirm "$@"
}

# apk itself runs on Alpine only. What it does: it unpacks all but an existing configuration, and runs a script.
apk_root() { # apk_root SCRIPT PACKAGE
	kept=""
	[ ! -e "$root/etc/jeton/jeton.yaml" ] || kept=--exclude=etc/jeton/jeton.yaml
	tar -C "$root" -xzf "$2" $kept 2>/dev/null
	inside /bin/sh "/.$1" 0.1.0
}

install() { # install DIST
	package=$(file "$1")
	case $kind in
	deb)
		cp "$package" "$root/jeton.deb"
		inside dpkg -i /jeton.deb
		;;
	rpm) rpm_root -U --force "$package" ;;
	apk) if [ -e "$root/usr/bin/jeton" ]; then apk_root post-upgrade "$package"; else apk_root post-install "$package"; fi ;;
	archlinux) pacman_root -U -dd "$package" ;;
	esac >"$temp/log" 2>&1 || { cat "$temp/log" >&2; fail "cannot install $package"; }
}

remove() {
	case $kind in
	deb) inside dpkg -r jeton ;;
	rpm) rpm_root -e jeton ;;
	apk)
		inside /bin/sh /.pre-deinstall 0.1.0
		rm "$root/usr/bin/jeton"
		inside /bin/sh /.post-deinstall 0.1.0
		;;
	archlinux) pacman_root -R jeton ;;
	esac >"$temp/log" 2>&1 || { cat "$temp/log" >&2; fail "cannot remove it"; }
}

# As the unit starts it, on a port that is free here.
start() {
	: >"$temp/out"
	chroot --userspec="$id" "$root" /usr/bin/env HOME=/var/lib/jeton STATE_DIRECTORY=/var/lib/jeton \
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

# owned PATH WANT: checks mode and owner, where jeton is the number that the root has for the name.
owned() {
	got=$(stat -c '%a %u:%g' "$root$1")
	[ "$got" = "$(echo "$2" | sed "s/0:jeton/0:${id#*:}/; s/jeton:jeton/$id/")" ] || fail "$1: got $got, want $2"
}

# A root with the programs that the scripts call: those of Alpine are busybox.
make_root() {
	root=$temp/$kind
	if [ "$kind" != apk ]; then
		cp -a "$temp/base" "$root"
		[ "$kind" != archlinux ] || ln -sf bash "$root/bin/sh" # as on Arch, whose scripts are for it
		return
	fi

	mkdir -p "$root/bin" "$root/usr/bin" "$root/etc" "$root/tmp" "$root/dev" "$root/usr/sbin" "$root/sbin"
	cp "$(command -v busybox)" "$root/bin/busybox"
	inside /bin/busybox --install -s
	# That of Debian has no addgroup -S and no adduser -S.
	printf '#!/bin/sh\necho "$2:x:101:" >>/etc/group\n' >"$root/usr/sbin/addgroup"
	printf '#!/bin/sh\necho "${10}:x:100:101::$5:$7" >>/etc/passwd\n' >"$root/usr/sbin/adduser"
	chmod 755 "$root/usr/sbin/addgroup" "$root/usr/sbin/adduser"
	echo root:x:0:0::/root:/bin/sh >"$root/etc/passwd"
	echo root:x:0: >"$root/etc/group"
	: >"$root/dev/null"
}

check() {
	make_root
	install "$first"
	id=$(awk -F: '$1 == "jeton" {print $3 ":" $4}' "$root/etc/passwd")
	owned /var/lib/jeton "700 jeton:jeton"
	owned /etc/jeton "750 0:jeton"
	owned /etc/jeton/jeton.yaml "640 0:jeton"
	sed -i 's/8443/18443/' "$root/etc/jeton/jeton.yaml"
	echo 'admin: {listen: "127.0.0.1:0"}' >>"$root/etc/jeton/jeton.yaml"
	inside jeton config check >/dev/null

	start
	keys=$(inside jeton keys list --output json)
	inside jeton healthcheck || fail "jeton healthcheck does not find the server"
	install "$later"
	grep -q 18443 "$root/etc/jeton/jeton.yaml" || fail "the upgrade replaced the configuration"
	stop
	start
	[ "$(inside jeton keys list --output json)" = "$keys" ] || fail "the upgrade changed the data"
	stop

	remove
	[ ! -e "$root/usr/bin/jeton" ] || fail "the program is still there after the removal"
	grep -q 18443 "$root"/etc/jeton/jeton.yaml* || fail "the removal deleted the configuration"
	[ -e "$root/var/lib/jeton/jeton.db" ] || fail "the removal deleted the data"
}

# purge is what Debian has beside a removal.
purge() {
	said=$(inside dpkg -P jeton 2>&1) # a pipe to grep -q would end dpkg early
	[ "$said" != "${said#*the data in /var/lib/jeton stays}" ] || fail "the purge says nothing about the data: $said"
	[ ! -e "$root/etc/jeton/jeton.yaml" ] || fail "the purge left the configuration"
	[ -e "$root/var/lib/jeton/jeton.db" ] || fail "the purge deleted the data"
	[ -z "$(inside dpkg -L jeton 2>/dev/null)" ] || fail "the package is still known"
}

debootstrap --variant=minbase bookworm "$temp/base" >"$temp/log" 2>&1 || { tail "$temp/log" >&2; exit 1; }
for kind in ${KINDS:-deb rpm apk archlinux}; do
	check
	[ "$kind" != deb ] || purge
	echo "$kind: installed, upgraded and removed"
	rm -rf "$root"
done
