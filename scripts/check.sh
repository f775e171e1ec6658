#!/bin/sh
# Checks everything that needs no external program. 'make check' runs it.
set -eu
cd "$(dirname "$0")/.."

sh scripts/static.sh
go test -short ./...
