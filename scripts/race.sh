#!/bin/sh
# Runs the tests of the packages whose goroutines share memory with the race detector.
# The others start no goroutines, or only processes; the race detector finds nothing there.
set -eu
cd "$(dirname "$0")/.."

go test -race -timeout=20m \
	./guard ./wallet \
	./internal/account ./internal/audit ./internal/cache ./internal/client ./internal/count \
	./internal/gate ./internal/gateway ./internal/keys ./internal/limit \
	./internal/password ./internal/server ./internal/session ./internal/signin \
	./internal/store/postgres ./internal/sweep ./internal/token ./internal/web
# What the race detector's own memory would drown.
go test -run Memory ./internal/password
# SQLite itself is Go code that takes five times as long under the race detector: only what meets in
# the queue of the writer runs with it, and everything without it.
go test -race -run 'Step|Caller|Queue|Clos|Sweep|Contract/races' ./internal/store/sqlite
