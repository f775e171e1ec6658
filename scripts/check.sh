#!/bin/sh
# Checks everything that needs no external program. 'make check' runs it.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 # as in scripts/static.sh, which has also vetted the tests

sh scripts/static.sh
go test -vet=off -short ./...
