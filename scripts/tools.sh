#!/bin/sh
# Installs the programs that the tests run as independent clients and tools, where they
# are missing and apt-get is there. Run by 'make test'.
set -eu

missing=""
# Debian keeps these programs of servers where not everyone's PATH looks.
PATH=$PATH:/usr/sbin:$(echo /usr/lib/postgresql/*/bin | tr ' ' :)
need() { # need COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need curl curl
need strace strace
need openssl openssl
need node nodejs
need npm npm
need git git
need bash bash
need initdb postgresql
need nginx nginx
need pgbouncer pgbouncer
python() { # python MODULE PACKAGE
	/usr/bin/python3 -c "import $1" >/dev/null 2>&1 || missing="$missing $2"
}
need htpasswd apache2-utils
python requests python3-requests
python passlib python3-passlib
python werkzeug python3-werkzeug
python django python3-django
python jwt python3-jwt
python cryptography python3-cryptography

# The client of docker is a package of its own since Debian 13; before, the daemon comes with
# it, and that does not install everywhere. Its test says so where the client is not there.
docker_client() {
	command -v docker >/dev/null 2>&1 && return
	command -v apt-get >/dev/null 2>&1 || return 0
	for package in docker-cli docker.io; do
		DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $package >/dev/null 2>&1 && return
	done
	echo "the client of docker is not to be had; its test is left out"
}
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"

if [ -z "$missing" ]; then
	docker_client
	exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "the tests need:$missing; install them and run this again" >&2
	exit 1
fi
echo "installing:$missing"
# The tests start their own servers: the system's are not to be set up or started. A file
# that is there already is the administrator's.
write() { # write FILE MODE, from the standard input
	[ -e "$1" ] && return 1
	$as_root mkdir -p "$(dirname "$1")"
	$as_root tee "$1" >/dev/null
	$as_root chmod "$2" "$1"
}
echo "create_main_cluster = false" | write /etc/postgresql-common/createcluster.conf 644 || :
policy=/usr/sbin/policy-rc.d # 101 forbids each start of a service
if printf '#!/bin/sh\nexit 101\n' | write $policy 755; then
	trap '$as_root rm -f $policy' EXIT
fi
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 apt-get install -y -qq $missing >/dev/null
for service in nginx pgbouncer; do
	case $missing in
	*$service*) if command -v systemctl >/dev/null 2>&1; then $as_root systemctl disable -q $service || :; fi ;; # at the next boot
	esac
done
docker_client
