# Waybill. The two that matter: `make demo` shows it at work, `make test` proves it.
# Everything runs as root or not, without input; what is missing from the machine is installed by `make deps`.

.PHONY: help demo test deps build lint fmt cover bench soak mutants rootfs image image-test clean
.NOTPARALLEL:
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# A checkout that git refuses to read (another owner, no .git) still builds, without a revision.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
VCS := $(shell git status >/dev/null 2>&1 && echo auto || echo false)
export CGO_ENABLED ?= 1

# Each suite: its packages, more flags, and its budget in minutes, the build of the tests included. A suite that
# needs longer is a failure. What they take together stays under 40.
SUITES := cdc checkpoint transform sinks pipeline cmd e2e story crash
cdc_budget        := 5
cdc_packages      := ./cdc/...
checkpoint_budget := 2
checkpoint_packages := ./checkpoint/...
transform_budget  := 2
transform_packages := ./transform/...
sinks_budget      := 5
sinks_packages    := ./sinks/...
pipeline_budget   := 4
pipeline_packages := ./pipeline/...
cmd_budget        := 2
cmd_packages      = $$(go list ./cmd/... | grep -v /e2e)
e2e_budget        := 13
e2e_packages      := ./cmd/internal/e2e
# `make soak` runs the walk, the large transactions, the retained log, the network and the neighbour.
e2e_flags         := -skip '^(TestCrash|TestWalk|TestLarge|TestRetained|TestJournalFull|TestNetwork|TestNeighbour|TestStor)'
# Every row of the failure table, on PostgreSQL, MariaDB and Tryton; -update writes the golden files.
story_budget      := 2
story_packages    := ./cmd/internal/e2e
story_flags       := -run '^TestStor'
# 90 kills before the simulated ERP, 5 before each simulated ERP of the cloud and 10 before Tryton; more with `make soak`.
crash_budget      := 7
crash_packages    := ./cmd/internal/e2e
crash_flags       := -v -run '^TestCrash'

help: ## list what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

demo: ## install what is missing, then run the whole thing on two real databases and a real ERP
	@sh cmd/internal/demo/install.sh
	@$(MAKE) --no-print-directory build
	@bin/waybill demo

deps: ## install the servers that the tests start (Debian packages; idempotent)
	@sh cmd/internal/demo/install.sh --ci
	@sh sinks/sinktest/install-kafka.sh
	@if command -v npm >/dev/null 2>&1; then sh cdc/cdctest/install-postgres.sh; \
		else echo "npm is not here: of PostgreSQL only Debian's version is tested"; fi

test: deps $(SUITES:%=test-%) ## every suite with the race detector, on real servers

test-%: ## one suite: test-cdc, test-pipeline, test-crash, …
	@echo "== $*, at most $($*_budget) min"
	@timeout --foreground $($*_budget)m go test -race -shuffle=on -p 2 -timeout $($*_budget)m $($*_flags) $($*_packages)

build: ## bin/waybill: static, no cgo
	@CGO_ENABLED=0 go build -tags timetzdata -trimpath -buildvcs=$(VCS) -ldflags '-s -w -X main.release=$(VERSION)' -o bin/waybill ./cmd/waybill

lint: ## gofmt, vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
		if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted" >&2; exit 1; fi
	@go vet ./...
	@go tool staticcheck ./...

fmt: ## format the Go files
	@gofmt -w $$(git ls-files '*.go')

cover: deps ## statement coverage of all suites but the crash test, in .cache/cover.html
	@mkdir -p .cache
	@go test -p 2 -timeout 20m -skip '^TestCrash' -coverpkg=./... -coverprofile=.cache/cover.out ./...
	@go tool cover -html=.cache/cover.out -o .cache/cover.html
	@go tool cover -func=.cache/cover.out | tail -1

bench: deps build ## 1,000,000 changes against the databases' own tools (BENCH_ROWS, BENCH_RUNS), into bench.json
	@CGO_ENABLED=0 go build -o .cache/bench ./cmd/internal/bench
	@.cache/bench

soak: deps ## kills at random, large transactions, 2 GB of WAL, pgbench beside it (SOAK_KILLS, SOAK_CLOUD_KILLS, SOAK_WALK_KILLS, MASS_ROWS, LARGE_ROWS, RETAINED_MB, PGBENCH_SECONDS)
	@CRASH_KILLS=$${SOAK_KILLS:-1000} CRASH_CLOUD_KILLS=$${SOAK_CLOUD_KILLS:-340} CRASH_TRYTON_KILLS=30 go test -race -v -timeout 6h -run '^TestCrash' ./cmd/internal/e2e
	@SOAK_WALK_KILLS=$${SOAK_WALK_KILLS:-300} go test -race -v -timeout 1h -run '^TestWalk$$' ./cmd/internal/e2e
	@MASS_ROWS=$${MASS_ROWS:-50000} go test -v -timeout 20m -run '^TestMassUpdateIsHeld$$' ./cmd/internal/e2e
	@LARGE_ROWS=$${LARGE_ROWS:-10000000} RETAINED_MB=$${RETAINED_MB:-2048} PGBENCH_SECONDS=$${PGBENCH_SECONDS:-20} \
		go test -v -timeout 3h -run '^(TestLarge|TestRetained|TestJournalFull|TestNetwork|TestNeighbour)' ./cmd/internal/e2e

mutants: deps ## break each promise in a copy of the tree and show that a test turns red
	@go run ./cmd/internal/mutants

rootfs: ## what the image holds beside the binary, into bin/rootfs and bin/data
	@cmd/internal/image/rootfs.sh

image: build rootfs ## the container image, built by buildah from nothing but this machine
	@cmd/internal/image/build.sh

image-test: image ## the image runs version, check and run of the demo
	@cmd/internal/image/test.sh

clean: ## remove what was built
	@rm -rf bin .cache bench.json
