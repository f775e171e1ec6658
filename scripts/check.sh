#!/bin/sh
# Checks everything that needs no external program. 'make check' runs it.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh

# The tests of these packages start programs; scripts/static.sh has compiled them.
programs='/internal/test/(browser|e2e)$|/examples$'

sh scripts/static.sh
go test -vet=off -short $(go list ./... | grep -Ev "$programs")
