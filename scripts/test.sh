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

# Known vulnerabilities that the program can reach, by an offline copy of the database.
vectors=${JETON_VECTORS:-../shared/vectors}
if [ -f "$vectors/vulndb-osv.tgz" ]; then
	db=$(mktemp -d)
	trap 'rm -rf "$db"' EXIT
	tar -xzf "$vectors/vulndb-osv.tgz" -C "$db"
	go run golang.org/x/vuln/cmd/govulncheck@v1.8.0 -db "file://$db/data/osv" ./cmd/jeton
else
	echo "no vulnerability database at $vectors: known vulnerabilities were not looked for"
fi

go test -race -timeout=25m ./...
# What the race detector's own memory would drown.
go test -run Memory ./internal/password
