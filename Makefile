# caddy-mfa: `make help` lists what there is.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
FUZZTIME ?= 10s
# Arguments for `make bench`, such as BENCH=-short.
BENCH ?=
# Packages that do not import Caddy: cheap enough to build for the race detector every time.
LIGHT = ./storage/... ./internal/... ./loginui/... ./tools/...
LINT = $(GO) tool -modfile=tools/lint/go.mod golangci-lint

.PHONY: help run build test screenshots race bench fuzz lint fmt generate clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: build ## build, and start Caddyfile.example; the log says where to open it first
	@exec bin/caddy run --config Caddyfile.example --adapter caddyfile

build: ## build bin/caddy: Caddy with this module in it
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/caddy ./cmd/caddy

# What is not built for the race detector is built as bin/caddy is, so that nothing is compiled twice.
test: build ## run every test; installs what is missing: a browser, proxies and apps from Debian's packages, axe-core and Lighthouse from npm
	@tools/setup
	@CGO_ENABLED=0 $(GO) vet -trimpath ./...
	@export CADDY_MFA_BIN="$(CURDIR)/bin/caddy"; \
	light=$$($(GO) list $(LIGHT)); \
	rest=$$($(GO) list ./... | grep -vxF "$$light" | grep -v '/e2e$$'); \
	{ status=0; \
	$(GO) test -json -race $$light || status=1; \
	CGO_ENABLED=0 $(GO) test -json -trimpath $$rest || status=1; \
	CGO_ENABLED=0 $(GO) test -json -trimpath -count=1 -timeout 20m ./e2e/ || status=1; \
	exit $$status; } | CGO_ENABLED=0 $(GO) run -trimpath ./tools/testsum

# A run of all tests takes them too, into e2e/out, beside the gallery of all pages.
screenshots: build ## take the pictures in docs anew
	@tools/setup
	@CADDY_MFA_BIN="$(CURDIR)/bin/caddy" CGO_ENABLED=0 $(GO) test -trimpath -count=1 -run '^TestDocsPictures$$' ./e2e/ -renew

race: build ## run the tests with the race detector, those that import Caddy too (slow); all but the journeys
	@CADDY_MFA_BIN="$(CURDIR)/bin/caddy" $(GO) test -race $(LIGHT) ./caddymodule/...

bench: build ## measure against plain Caddy and print a table; needs wrk; BENCH=-short for a quick look
	@$(GO) run ./bench -bin bin/caddy $(BENCH)

fuzz: ## run every fuzz target for FUZZTIME (10s)
	@grep -rEo --include='*_test.go' '^func Fuzz\w+' . | sort | while IFS=: read -r file fn; do \
		name="$${fn#func }"; echo "== $$name ($$(dirname "$$file"))"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")"; \
	done

lint: ## run golangci-lint with .golangci.yml
	@$(LINT) run ./...

fmt: build ## format Go and Caddy files
	@$(LINT) fmt ./...
	@bin/caddy fmt --overwrite Caddyfile.example

generate: ## run go generate
	@$(GO) generate ./...

clean: ## remove what was built
	@rm -rf bin e2e/out bench/out
