#!/bin/sh
# Installs the programs that the tests run as independent clients and tools, where they
# are missing and apt-get is there. Run by 'make test'.
set -eu

missing=""
need() { # need COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need curl curl
need strace strace
need openssl openssl
/usr/bin/python3 -c 'import requests' >/dev/null 2>&1 || missing="$missing python3-requests"

[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
	echo "the tests need:$missing; install them and run this again" >&2
	exit 1
fi
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
echo "installing:$missing"
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq $missing >/dev/null
