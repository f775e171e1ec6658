#!/bin/sh
# Runs every test. 'make test' calls it after installing what it needs.
set -eu

unformatted=$(gofmt -l $(git ls-files '*.go' 2>/dev/null || find . -name '*.go'))
if [ -n "$unformatted" ]; then
	echo "gofmt would change: $unformatted" >&2
	exit 1
fi
go vet ./...
go mod tidy -diff
CGO_ENABLED=0 go build -o /dev/null ./...
go test -race -timeout=20m ./...
