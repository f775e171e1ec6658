#!/bin/sh
# Runs the tests of the packages whose goroutines share memory with the race detector.
# The others start no goroutines, or only processes; the race detector finds nothing there.
set -eu
cd "$(dirname "$0")/.."

go test -race -timeout=20m \
	./guard ./wallet \
	./internal/account ./internal/audit ./internal/cache ./internal/client ./internal/count \
	./internal/gate ./internal/gateway ./internal/keys ./internal/limit ./internal/oauth \
	./internal/password ./internal/server ./internal/session ./internal/signin \
	./internal/store/postgres ./internal/store/sqlite ./internal/sweep ./internal/token ./internal/web
# What the race detector's own memory would drown.
go test -run Memory ./internal/password
