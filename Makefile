# The commands of the project. 'make test' is the one that says whether it is good.

.PHONY: test build soak bench generate tools

# Everything: installs what the tests need, then runs them all, with the race detector.
test: tools
	sh scripts/test.sh

# What the tests need beside Go, git and a C compiler.
tools:
	sh scripts/tools.sh

build:
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/jeton ./cmd/jeton

# The long proofs: a thousand crashes, a million rows.
soak: tools
	JETON_SOAK=1 go test -count=1 -timeout=3h ./internal/test/... ./internal/store/...

bench:
	go -C bench run .

# Rewrites what is made from the code: reference pages and golden files.
generate:
	go test . ./cmd/jeton ./internal/config ./internal/api ./internal/server ./internal/teaching -update
