#!/bin/sh
# Prints how readable the Go code of trees is, a column a tree: scripts/measure.sh [DIR...]
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
bin=$(mktemp)
trap 'rm -f "$bin"' EXIT

go build -C "$root" -o "$bin" ./internal/test/measure/print
"$bin" "${@:-.}"
