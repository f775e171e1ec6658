#!/bin/sh
# Installs the programs that the tests run as independent clients and servers, if they are
# missing and apt-get is available. Run by 'make test'. A program that cannot be installed
# is reported, and its tests are left out; with JETON_CI=1 that fails.
set -eu

# Debian installs servers outside of the usual PATH.
PATH=$PATH:/usr/sbin:$(echo /usr/lib/postgresql/*/bin | tr ' ' :)

missing=""
need() { # need COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
lean="" # installed without the services of a desktop, or the monitors, that they recommend
lean() { # lean PACKAGE, which has the name of its command
	command -v "$1" >/dev/null 2>&1 || lean="$lean $1"
}
python() { # python MODULE PACKAGE
	/usr/bin/python3 -c "import $1" >/dev/null 2>&1 || missing="$missing $2"
}
need curl curl
need strace strace
need openssl openssl
need oathtool oathtool
need node nodejs
need npm npm
need git git
need bash bash
need initdb postgresql
need nginx nginx
need php php-cli
need caddy caddy
need haproxy haproxy
need apache2 apache2-bin # without the service
[ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] || missing="$missing libapache2-mod-auth-openidc"
need ip iproute2
need pgbouncer pgbouncer
need htpasswd apache2-utils
lean chromium
lean firefox-esr
lean prometheus
/usr/bin/python3 -c "import pip" >/dev/null 2>&1 || lean="$lean python3-pip" # without a compiler
command -v systemd-analyze >/dev/null 2>&1 || lean="$lean systemd" # no service manager is started
python requests python3-requests
python passlib python3-passlib
python werkzeug python3-werkzeug
python django python3-django
python jwt python3-jwt
python authlib python3-authlib
python cryptography python3-cryptography

as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo -n" # without asking for a password

# not_installed PACKAGE...: reports what cannot be installed.
not_installed() {
	echo "cannot install: $*; the tests that need it are left out" >&2
	[ -z "${JETON_CI:-}" ] || exit 1
}

install() { # install PACKAGE...
	$as_root env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 \
		apt-get install -y -qq "$@" >/dev/null
}

# The docker client is a package of its own since Debian 13; before, it comes with the
# daemon, which does not install everywhere. Its test is optional.
docker_client() {
	command -v docker >/dev/null 2>&1 && return
	command -v apt-get >/dev/null 2>&1 || return 0
	install --no-install-recommends docker-cli 2>/dev/null ||
		install --no-install-recommends docker.io 2>/dev/null ||
		echo "cannot install the docker client; its test is left out" >&2
}

if [ -z "$missing$lean" ]; then
	docker_client
	exit 0
fi
if ! command -v apt-get >/dev/null 2>&1 || { [ -n "$as_root" ] && ! sudo -n true 2>/dev/null; }; then
	not_installed $missing $lean
	exit 0
fi
echo "installing:$missing$lean"

# The tests start their own servers: the system's must not be set up or started. An
# existing file belongs to the administrator and stays.
write() { # write FILE MODE, from standard input
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

$as_root apt-get update -qq || echo "apt-get update failed; trying with the lists that are there" >&2
if [ -n "$missing" ] && ! install $missing; then
	for package in $missing; do # one bad package must not keep the others out
		install "$package" || not_installed "$package"
	done
fi
for package in $lean; do
	install --no-install-recommends "$package" || not_installed "$package"
done

for service in nginx haproxy pgbouncer prometheus; do
	case "$missing$lean" in
	*$service*)
		if command -v systemctl >/dev/null 2>&1; then
			$as_root systemctl disable -q $service || : # do not start it at the next boot
		fi
		;;
	esac
done
docker_client
