#!/bin/sh
# Runs the tests of the packages whose goroutines share memory with the race detector.
# The others start no goroutines, or only processes; the race detector finds nothing there.
# 'race.sh list' prints the packages, one a line.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh

# The longest come first, so that the others run beside them.
packages="
	./internal/server ./internal/store/postgres ./internal/store/sqlite ./internal/gateway
	./guard ./wallet
	./internal/account ./internal/audit ./internal/balance ./internal/cache ./internal/client ./internal/count
	./internal/gate ./internal/http1 ./internal/keys ./internal/limit ./internal/outbox
	./internal/password ./internal/session
	./internal/sweep ./internal/test/access ./internal/trace ./internal/web
"

if [ "${1:-}" = list ]; then
	printf '%s\n' $packages
	exit 0
fi

# The race detector watches this project, its drivers and the standard library. It does not watch
# SQLite itself, which is C translated to Go and takes five times as long with it, nor the
# arithmetic of cryptography: such code works on values of its own.
set --
for code in \
	modernc.org/libc/... modernc.org/sqlite/lib \
	crypto/internal/fips140/bigmod crypto/internal/fips140/nistec/... crypto/internal/fips140/edwards25519/... \
	golang.org/x/crypto/argon2 golang.org/x/crypto/blake2b golang.org/x/crypto/blowfish; do
	set -- "$@" "-gcflags=$code=-race=false -dwarf=false"
done

# The detector needs cgo. scripts/static.sh has vetted the code.
CGO_ENABLED=1 go test -race -vet=off -timeout=20m "$@" $packages

# What the race detector's own memory would drown.
go test -vet=off -run='Memory|ARequestAllocatesLittle' ./internal/password ./internal/server
