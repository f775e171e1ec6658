#!/bin/sh
# Runs every test. 'make test' runs it after installing what the tests need. It ends with
# a list of what was left out; with JETON_CI=1 nothing may be left out.
set -eu
cd "$(dirname "$0")/.."

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
export JETON_LEFT_OUT="$temp/left-out"

sh scripts/static.sh
sh scripts/vulnerabilities.sh
sh scripts/race.sh

raced=$(sed -n 's/^[[:space:]]*\(\.\/[a-z].*\)$/\1/p' scripts/race.sh | tr ' \\' '\n\n' | sed -n 's/^\.\///p')
packages=$(go list ./...)
for package in $raced; do
	packages=$(echo "$packages" | grep -vx "github.com/jeton-auth/jeton/$package")
done
go test -timeout=20m $packages

if [ -s "$JETON_LEFT_OUT" ]; then
	echo
	echo "Left out, because something is missing (JETON_CI=1 makes that a failure):"
	sort -u "$JETON_LEFT_OUT"
fi
