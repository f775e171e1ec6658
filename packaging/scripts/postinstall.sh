#!/bin/sh
# Runs after the installation and after an upgrade, with the new files in place.
set -e

# Debian calls it with "configure" and, at an upgrade, the version before; rpm with the number of versions; apk
# and pacman with versions only.
if ! getent group jeton >/dev/null 2>&1; then
	if command -v groupadd >/dev/null 2>&1; then groupadd --system jeton; else addgroup -S jeton; fi
fi
if ! getent passwd jeton >/dev/null 2>&1; then
	if command -v useradd >/dev/null 2>&1; then
		useradd --system --gid jeton --home-dir /var/lib/jeton --no-create-home --shell /usr/sbin/nologin jeton
	else
		adduser -S -D -H -h /var/lib/jeton -s /sbin/nologin -G jeton jeton
	fi
fi

# Only the folders and the file of the package: what an administrator has put beside them stays as it is.
chown jeton:jeton /var/lib/jeton
chown root:jeton /etc/jeton
[ ! -e /etc/jeton/jeton.yaml ] || chown root:jeton /etc/jeton/jeton.yaml

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload

if ! systemctl --quiet is-active jeton; then
	echo "jeton: start it with 'systemctl enable --now jeton'; its configuration is /etc/jeton/jeton.yaml"
	exit 0
fi

# The server that runs is better than one that does not start.
if ! jeton config check; then
	echo "jeton: the new version does not accept the configuration. The old one still runs; change" >&2
	echo "jeton: /etc/jeton/jeton.yaml, then 'systemctl restart jeton'" >&2
	exit 0
fi
systemctl restart jeton
