#!/bin/sh
# Runs before the files go. Debian calls it with "remove" or "upgrade", rpm with the number of versions that stay.
set -e

case "${1:-remove}" in
upgrade | 1) exit 0 ;;
esac

[ -d /run/systemd/system ] || exit 0
systemctl --quiet disable --now jeton.service jeton.socket || :
