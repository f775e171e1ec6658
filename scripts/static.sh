#!/bin/sh
# Checks the code without running it: format, modules, vet and linters.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh

unformatted=$(gofmt -l $(git ls-files '*.go' 2>/dev/null || find . -name '*.go'))
if [ -n "$unformatted" ]; then
	echo "gofmt would change: $unformatted" >&2
	exit 1
fi

for module in . bench internal/test/acme internal/test/envoy internal/test/parties packaging; do
	go -C "$module" mod tidy -diff
done

sh scripts/lint.sh
