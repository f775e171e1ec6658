#!/bin/sh
# Runs vet and the linters. Their versions are fixed here, and they are not in go.mod: the product
# does not depend on them. 'lint.sh packaging' checks the module of releases instead, whose imports
# take minutes to compile: 'make soak' and the job that tests that module run it.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
errcheck=github.com/kisielk/errcheck@v1.30.0

if [ "${1:-}" = packaging ]; then
	export GOWORK=off
	cd packaging
	go vet ./...
	go run $staticcheck ./...
	go run $errcheck -exclude ../scripts/errcheck.txt ./...
	exit 0
fi

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

# A workspace of all modules: what they share is compiled and judged once.
export GOWORK="$temp/go.work"
go work init . ./bench ./internal/test/acme ./internal/test/envoy ./internal/test/parties
packages="./... ./bench/... ./internal/test/acme/... ./internal/test/envoy/... ./internal/test/parties/..."

go vet $packages
go run $staticcheck $packages
go run $errcheck -exclude scripts/errcheck.txt $packages

# The wallet runs on desktops, too; 'make release' builds all programs for all systems.
GOOS=darwin GOARCH=arm64 go build -tags walletonly -o "$temp/foreign" ./cmd/jeton
GOOS=windows GOARCH=amd64 go build -tags walletonly -o "$temp/foreign" ./cmd/jeton

# The program without the server: commands of operators have '//go:build !walletonly'.
go build -tags walletonly -o "$temp/wallet" ./cmd/jeton
"$temp/wallet" token print --help >/dev/null # the libraries in clients run it
