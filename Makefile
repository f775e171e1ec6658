# The commands of the project. 'make test' decides whether a change is good.

.PHONY: check lint test race soak build bench generate release tools

# The inner loop: everything that needs no external program, without the race detector.
check:
	sh scripts/check.sh

# Static analysis; part of check.
lint:
	sh scripts/lint.sh

# Everything: installs what the tests need, then runs them all.
test: tools
	sh scripts/test.sh

# The packages that share memory between goroutines, with the race detector; part of test.
race:
	sh scripts/race.sh

# What the tests need beside Go, git and a C compiler.
tools:
	sh scripts/tools.sh

# The long proofs: a thousand crashes, a million rows, planted bugs, generated targets, the benchmark program.
soak: tools
	PATH="$$(sh scripts/proxies.sh):$$PATH" JETON_SOAK=1 go test -count=1 -timeout=3h ./internal/test/... ./internal/store/... ./internal/gateway ./internal/server
	PATH="$$(sh scripts/proxies.sh):$$PATH" JETON_SOAK=1 go test -count=1 -timeout=1h -run='TestNoAttack|Behind|TestCaddy|NamesOfOther' ./internal/forward
	PATH="$$(sh scripts/proxies.sh):$$PATH" JETON_SOAK=1 go -C internal/test/parties test -count=1 ./...
	go -C internal/test/collector mod tidy -diff
	JETON_SOAK=1 go -C internal/test/collector test -count=1 ./...
	go -C bench test -count=1 -timeout=1h ./...
	sh scripts/lint.sh packaging
	go -C packaging test -count=1 ./...
	sh packaging/proof.sh

build:
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/jeton ./cmd/jeton

# The files of a release, in dist: make release VERSION=v0.1.0 KEY=FILE-OF-THE-MINISIGN-KEY
release:
	go -C packaging run . --version "$(VERSION)" --out ../dist $(if $(KEY),--key "$(abspath $(KEY))")

# Figures for docs/reference/performance.md.
bench:
	go -C bench run .

# Rewrites what is generated from the code: reference pages and golden files.
generate:
	go test . ./cmd/jeton ./internal/config ./internal/api ./internal/server ./internal/teaching -update
