# numax-node: build, test, check. `make help` lists the targets.

GO       ?= go
FUZZTIME ?= 20s
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Tools are pinned here and built into bin/tools: neither go.mod nor the
# machine's own tools have a say.
GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
tool         = bin/tools/$(subst @,-,$(notdir $(1)))

# The version goes in with -X, so that a build needs no readable .git.
LDFLAGS := -s -w -X main.version=$(VERSION)
REPEATABLE := -trimpath -buildvcs=false

export CGO_ENABLED = 0

SOURCES  := $(shell find . -name '*.go' -not -name '*_test.go' -not -path './examples/*' -not -path './sandbox/sdk/*/*')
SDK      := $(shell find sandbox/sdk/go -name '*.go' -not -name '*_test.go') sandbox/sdk/go/go.mod
EMBEDDED := $(shell find node sandbox/sdk -type f -not -name '*.go' -not -path 'sandbox/sdk/go/*')
GUESTS   := $(foreach main,$(wildcard examples/*/main.go),$(dir $(main))$(notdir $(patsubst %/,%,$(dir $(main)))).wasm)
MODULES  := . sandbox/sdk/go examples
RELEASES := linux-amd64 linux-arm64 linux-armv7 darwin-arm64 windows-amd64.exe

.PHONY: help build demo test race sim soak test-net fuzz fmt lint check toolchains bench release clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r t d; do printf '  %-10s %s\n' "$$t" "$$d"; done

build: bin/numax-node $(GUESTS) ## bin/numax-node and the guests of examples/

bin/numax-node: $(SOURCES) $(EMBEDDED) go.mod go.sum bin/.version
	$(GO) build $(REPEATABLE) -ldflags '$(LDFLAGS)' -o $@ ./cmd/numax-node

# Touched only when the version is another one.
bin/.version: FORCE
	@mkdir -p bin && echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@
.PHONY: FORCE
FORCE:

.SECONDEXPANSION:
$(GUESTS): %.wasm: $$(wildcard $$(dir $$@)*.go) examples/go.mod $(SDK)
	GOOS=wasip1 GOARCH=wasm $(GO) build -C $(@D) $(REPEATABLE) $(if $(wildcard $(@D)/module.toml),-buildmode=c-shared) -ldflags '-s -w' -o $(@F) .

demo: build ## three nodes that find each other and agree on a counter
	examples/demo.sh

test: ## all tests
	@set -e; for m in $(MODULES); do echo "== go test ./... ($$m)"; $(GO) -C $$m test -timeout 8m ./...; done

race: ## tests under the race detector; needs a C compiler
	@command -v $$(CGO_ENABLED=1 $(GO) env CC | cut -d' ' -f1) >/dev/null || \
		{ echo "race: the race detector needs a C compiler, and there is no $$(CGO_ENABLED=1 $(GO) env CC) here: install gcc or clang, or set CC" >&2; exit 1; }
	CGO_ENABLED=1 $(GO) test -race -timeout 15m $(RACEFLAGS) ./crdt/... ./datastore/... ./p2p/... ./sandbox/... ./node/...

SEEDS ?= 200
TIMES ?= 1
HOURS ?= 24
ENEMY ?= 10m
sim: ## replicas under faults in virtual time: SEEDS=200, or SEED=17 TIMES=1
	$(GO) test -timeout 0 -count 1 $(if $(SEED),-v) -run '^TestSim$$' ./crdt/replica/replicasim -sim.seeds $(SEEDS) -sim.seed $(or $(SEED),0) -sim.times $(TIMES) $(if $(STRANGERS),-sim.strangers)

soak: ## HOURS=24 of churn in virtual time: does anything grow? Then ENEMY=10m of real nodes under a hostile peer
	$(GO) test -timeout 0 -count 1 -v -run '^TestSoak$$' ./crdt/replica/replicasim -sim.hours $(HOURS)
	$(GO) test -timeout 0 -count 1 -v ./node/enemytest -enemy.seed $(or $(SEED),1) -enemy.time $(ENEMY)

TRIES ?= 3
test-net: ## nodes on real networks, in namespaces; needs root, iproute2 and, for NAT, nft; TRIES=20
	NUMAX_NET_TESTS=1 $(GO) test -v -timeout 20m -count 1 ./p2p/p2ptest -net.tries $(TRIES)

fuzz: ## every fuzz target for FUZZTIME (20s)
	@GO='$(GO)' .ci/fuzz $(FUZZTIME)

lint: $(call tool,$(GOFUMPT)) $(call tool,$(STATICCHECK)) ## gofumpt, go vet, staticcheck; crdt builds for a browser
	@unformatted=$$($(call tool,$(GOFUMPT)) -l .); [ -z "$$unformatted" ] || { echo "gofumpt -w these:"; echo "$$unformatted"; exit 1; }
	@set -e; for m in . sandbox/sdk/go; do echo "== vet, staticcheck ($$m)"; (cd $$m && $(GO) vet ./... && $(CURDIR)/$(call tool,$(STATICCHECK)) ./...); done
	@echo "== vet, staticcheck (guests)"; cd examples && GOOS=wasip1 GOARCH=wasm $(GO) vet ./... && GOOS=wasip1 GOARCH=wasm $(CURDIR)/$(call tool,$(STATICCHECK)) -checks inherit,-U1000 ./... # which knows no go:wasmexport
	GOOS=js GOARCH=wasm $(GO) build ./crdt

fmt: $(call tool,$(GOFUMPT)) ## gofumpt -w
	$(call tool,$(GOFUMPT)) -w .

# $(1) = module path@version
define install
$$(call tool,$(1)):
	@mkdir -p bin/tools
	GOFLAGS= GOBIN=$$(CURDIR)/bin/tools $$(GO) install $(1)
	@mv bin/tools/$$(notdir $$(firstword $$(subst @, ,$(1)))) $$@
endef
$(eval $(call install,$(GOFUMPT)))
$(eval $(call install,$(STATICCHECK)))

check: ## what CI runs
	.ci/run

ASSEMBLYSCRIPT := assemblyscript@0.28.20
toolchains: ## what modules in Rust, AssemblyScript and C are built with, and pages tested; needs Debian, root and npm
	@command -v apt-get >/dev/null || { echo "toolchains: there is no apt-get here: install clang, lld, a Rust with wasm32-unknown-unknown, chromium, and npm's $(ASSEMBLYSCRIPT)" >&2; exit 1; }
	@[ "$$(id -u)" = 0 ] || { echo "toolchains: installing needs root: sudo make toolchains" >&2; exit 1; }
	apt-get update -qq
	apt-get install -qq --no-install-recommends clang lld rustc cargo libstd-rust-dev-wasm32 chromium
	@command -v npm >/dev/null || apt-get install -qq --no-install-recommends npm
	npm install --global --no-fund --no-audit $(ASSEMBLYSCRIPT)

bench: build ## what it can do on this machine; JSON=1: one JSON object a line
	@bin/numax-node bench $(if $(JSON),--json)

release: $(addprefix dist/numax-node-,$(RELEASES)) ## the five platforms, with SHA256SUMS, in dist/
	cd dist && sha256sum $(notdir $^) > SHA256SUMS && cat SHA256SUMS

# linux-armv7 → GOOS=linux GOARCH=arm GOARM=7
dist/numax-node-%: $(SOURCES) $(EMBEDDED) go.mod go.sum bin/.version
	@mkdir -p dist
	GOOS=$(word 1,$(subst -, ,$*)) GOARCH=$(subst armv7,arm,$(word 2,$(subst -, ,$(basename $*)))) GOARM=7 \
		$(GO) build $(REPEATABLE) -ldflags '$(LDFLAGS)' -o $@ ./cmd/numax-node

clean: ## remove what make made
	rm -rf bin dist $(GUESTS)
