#!/bin/sh
# Runs after the files have gone. The data in /var/lib/jeton and the user that owns it stay, also after a purge:
# signing keys and users are not what a package manager should delete.
set -e

[ ! -d /run/systemd/system ] || systemctl daemon-reload

if [ "${1:-}" = purge ] && [ -e /var/lib/jeton/jeton.db ]; then
	echo "jeton: the data in /var/lib/jeton stays; delete it with 'rm -r /var/lib/jeton'"
fi
