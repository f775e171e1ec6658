#!/bin/sh
# Runs the linters. Their versions are fixed here, and they are not in go.mod: the product
# does not depend on them.
set -eu
cd "$(dirname "$0")/.."

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
errcheck=github.com/kisielk/errcheck@v1.30.0

for module in . bench; do
	echo "lint $module"
	(
		exclude=$PWD/scripts/errcheck.txt
		cd "$module"
		go run $staticcheck ./...
		go run $errcheck -exclude "$exclude" ./...
	)
done
