#!/bin/sh
# Runs every test. 'make test' runs it after installing what the tests need. It ends with
# a list of what was left out; with JETON_CI=1 nothing may be left out.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh

temporary
export JETON_LEFT_OUT="$temp/left-out"

sh scripts/static.sh
sh scripts/vulnerabilities.sh
sh scripts/race.sh

# The packages that start the program share one build of it.
export JETON_TEST_PROGRAM="$temp/jeton"
go build -o "$JETON_TEST_PROGRAM" ./cmd/jeton

# The longest come first, so that the others run beside them.
long="internal/test/e2e internal/test/browser examples"
packages=$(go list ./...)
for package in $long $(sh scripts/race.sh list | sed 's/^\.\///'); do
	packages=$(echo "$packages" | grep -vx "github.com/jeton-auth/jeton/$package")
done
go test -vet=off -timeout=20m $(printf './%s ' $long) $packages

# Modules of their own: they need gRPC, a certificate authority and clients of OpenID Connect, which the product does
# not. scripts/static.sh has vetted them in such a workspace, too: what they share with the product is compiled.
modules="./internal/test/envoy ./internal/test/acme ./internal/test/parties"
export GOWORK="$temp/go.work"
go work init . $modules
go test -vet=off -timeout=20m $modules

if [ -s "$JETON_LEFT_OUT" ]; then
	echo
	echo "Left out, because something is missing (JETON_CI=1 makes that a failure):"
	sort -u "$JETON_LEFT_OUT"
fi
