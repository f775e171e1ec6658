#!/bin/sh
# Looks for known vulnerabilities that the program can reach. JETON_VULNDB names a copy of
# the database of vuln.go.dev: its archive of OSV files. Without it nothing is looked for.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh

archive=${JETON_VULNDB:-../shared/vectors/vulndb-osv.tgz}
if [ ! -f "$archive" ]; then
	echo "known vulnerabilities were not looked for: no database at $archive; JETON_VULNDB names one"
	exit 0
fi

database=$(mktemp -d)
trap 'rm -rf "$database"' EXIT
tar -xzf "$archive" -C "$database"
go run golang.org/x/vuln/cmd/govulncheck@v1.8.0 -db "file://$database/data/osv" ./cmd/jeton
