# Deskyard: what can be made here. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Suites share ports, packages and the two processors, and web comes before build.
.NOTPARALLEL:

# 0.1.<commits>, and a mark of its own for a tree that is not committed: a version
# published with other content is refused by services that have it.
VERSION ?= 0.1.$(shell git rev-list --count HEAD 2>/dev/null || echo 0)$(shell git diff --quiet HEAD 2>/dev/null || date -u '+-dirty.%Y%m%d%H%M%S')
VERSION := $(VERSION)
GO      ?= go
BIN     := bin
DIST    := dist
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/:/' | column -t -s:

.PHONY: build
build: ## the service and the administrator's CLI, in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/deskyard ./cmd/deskyard

.PHONY: web
web: ## the web client, in web/dist, which make build builds in (node 20, npm)
	@node -e 'process.exit(+(parseInt(process.versions.node) < 20))' && command -v npm >/dev/null || { echo 'make web: Node 20 or later and npm build the web client: install them (https://nodejs.org/, or apt-get install nodejs npm on Debian 13)' >&2; exit 1; }
	cd web && npm ci --no-audit --no-fund && npm run --silent build

.PHONY: test-web
test-web: web ## the web's unit tests
	cd web && npm run --silent test

.PHONY: packages
packages: ## agent and boot loader packages for session hosts, in dist/
	rm -rf $(DIST)/packages $(BIN)/components
	cd packaging && $(GO) run . -version '$(VERSION)' -out ../$(DIST)/packages
	mkdir -p $(BIN) && cp -r $(DIST)/packages $(BIN)/components

.PHONY: deps
deps: ## what the demo and the tests need from Debian (root, apt)
	./e2e/install-deps

.PHONY: demo
demo: deps web build packages ## Microsoft's template makes two session hosts; ends with a URL and a login for a desktop of them
	./e2e/demo

.PHONY: test-quick
test-quick: vet ## no root, under two minutes
	$(GO) test ./...
	GOOS=windows GOARCH=amd64 $(GO) vet ./bootloader ./agent ./sxs ./monitor ./socket ./cmd/deskyard-agent ./cmd/deskyard-bootloader ./cmd/deskyard-sxs ./cmd/deskyard-monitor
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./cmd/deskyard-agent

.PHONY: vet
vet:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'run gofmt -w on these' >&2; exit 1; }
	$(GO) vet ./...

.PHONY: test
# The web comes before the first build: make builds once, and the program is to have it.
test: deps web test-web test-quick fuzz-short e2e-postgres e2e-packaging e2e-signin e2e-federation e2e-hostile e2e-clients e2e-agent e2e-templates e2e-machines e2e-domain e2e-connect e2e-portal e2e-sessions ## everything
	@echo 'make test: all suites passed'

.PHONY: fuzz-short
fuzz-short: ## each fuzz target for a few seconds
	./bench/fuzz 3s

.PHONY: e2e-postgres
e2e-postgres: ## the store's conformance suite on a real PostgreSQL
	./e2e/postgres.sh

.PHONY: e2e-hostile
e2e-hostile: build ## kill -9, bad input and stolen keys against the real process
	./e2e/gotest e2e-hostile . ./e2e/hostile

.PHONY: e2e-packaging
e2e-packaging: ## the Debian packages, installed for real in a Debian of their own (skips without root)
	./e2e/gotest e2e-packaging packaging .

.PHONY: e2e-signin
e2e-signin: ## people of the directory sign in to a Debian that joined it, by its own PAM (skips without root)
	./e2e/gotest e2e-signin . ./e2e/signin

.PHONY: e2e-clients
e2e-clients: build ## Microsoft's own clients, unmodified, against the service
	./e2e/clients/run

.PHONY: e2e-agent
e2e-agent: build packages ## a Debian machine joins with nothing but the key
	./e2e/agent/run

.PHONY: e2e-templates
e2e-templates: build packages ## Microsoft's own templates make session hosts (skips without the templates)
	./e2e/templates/run

.PHONY: e2e-machines
e2e-machines: build packages ## each parameter of the wizard has its effect on a real machine
	./e2e/machines/run

.PHONY: e2e-domain
e2e-domain: build packages ## a machine joins Samba's Active Directory, whose user signs in over RDP (skips without root)
	./e2e/domain/run

.PHONY: e2e-federation
e2e-federation: build ## people of Samba's Active Directory and of an OpenID provider sign in, leave, and are refused (root; skips without)
	./e2e/federation/run

.PHONY: e2e-connect
e2e-connect: web ## a person's work in a desktop, in headless Chromium, against a real xrdp (root; skips without)
	./e2e/connect/run

.PHONY: e2e-portal
e2e-portal: web build ## an administrator's day in the portal, in headless Chromium
	./e2e/portal/run

.PHONY: e2e-portal-machines
e2e-portal-machines: web build packages ## the article's walk in the portal with real machines, a desktop on one (5 minutes; not in make test)
	./e2e/portal/run machines

.PHONY: e2e-sessions
e2e-sessions: build packages ## live sessions while everything around them fails, and hostile clients (root; skips without)
	./e2e/sessions/run

.PHONY: e2e-desktops
e2e-desktops: web build packages ## a machine's desktop opened in Chromium and by FreeRDP, and started by who opens it (6 minutes; not in make test)
	./e2e/desktops/run

.PHONY: e2e-terraform
e2e-terraform: web build ## Terraform with azurerm makes pools, and machines as the portal's wizard writes them (terraform or tofu; builds azurerm once, an hour; not in make test)
	./e2e/terraform/run

.PHONY: e2e-drivers
e2e-drivers: build ## the drivers' contract with guests that boot, on QEMU; security groups (root; 5 to 10 minutes; not in make test)
	./e2e/drivers/run

.PHONY: e2e-libvirt
e2e-libvirt: build ## the same on a libvirtd of its own; libvirtd away for a minute (root, libvirt-daemon-system; not in make test)
	./e2e/drivers/libvirt-run

.PHONY: e2e-image
e2e-image: build packages ## the desktop image built and booted in every way it boots (not in make test)
	./e2e/image/run --deskyard bin/deskyard

.PHONY: bench
bench: build ## one line a figure: name, ours, baseline, ratio; also dist/bench.json
	./bench/run $(DIST)/bench.json

.PHONY: bench-machines
bench-machines: build packages ## request to Available over the bare boot, for 1, 2 and 4 guests at once (a quarter of an hour)
	DESKYARD_RATIO_GUESTS=1,2,4 ./e2e/machines/run -run TestRequestToAvailable

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) $(DIST)
