#!/bin/sh
# Checks everything that needs no external program. 'make check' runs it.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh
temporary

# The tests of these packages start programs; scripts/static.sh has compiled them.
programs='^[^ ]*(/internal/test/(browser|e2e)|/examples) '

# Only tests with helpers are left out or shortened, and some of internal/api. The others run as in 'make test', and
# each uses the results of the other.
shorter='^[^ ]*/internal/api | .*github.com/jeton-auth/jeton/internal/test/'
packages=$(go list -f '{{.ImportPath}} {{.TestImports}}{{.XTestImports}}' ./... | grep -Ev "$programs")
whole=$(echo "$packages" | grep -Ev "$shorter" | cut -d' ' -f1)
partly=$(echo "$packages" | grep -E "$shorter" | cut -d' ' -f1)

sh scripts/static.sh
go test -vet=off $whole
go test -vet=off -short $partly
