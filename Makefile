# Tuman. `make help` lists what there is.
#
# Everything is fetched through cargo and npm, pinned by their lock files. Results go to target/, engine/node_modules/,
# dashboard/node_modules/, dashboard/dist/ and demo-data/, which git ignores.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo

.PHONY: help run build engine dashboard browser pictures test examples torture attack audit-privacy fuzz lint advisories format bench bench-stats flood clean tools

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Install what is needed, build, and run the demo on http://127.0.0.1:8080
	@target/release/tuman demo

build: tools engine dashboard ## Build the program: target/release/tuman
	@$(CARGO) build --release --locked

engine: tools ## Fetch the pinned ClickHouse library into engine/node_modules
	@engine/fetch.sh

examples: ## Install what the Python examples of docs/exports.md need
	@python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -qq -y python3-venv >&2; } || \
		{ echo "missing: Python 3.11 or later with venv. Install it: apt-get install python3-venv" >&2; exit 1; }
	@examples/venv.sh >/dev/null

# What the dashboard is made of. Without it cargo compiles a program that says so in its place.
DASHBOARD := $(shell find dashboard/src dashboard/scripts -type f ! -name schema.d.ts) $(wildcard dashboard/*.*) \
	sdk-spec/openapi.yaml src/demo/cities.tsv src/http/page/page.css
dashboard: tools dashboard/dist/index.html.gz ## Build the dashboard, which the program embeds

dashboard/dist/index.html.gz: dashboard/node_modules/.package-lock.json $(DASHBOARD)
	@npm --prefix dashboard run --silent build

dashboard/node_modules/.package-lock.json: dashboard/package-lock.json
	@echo "dashboard: fetching its parts (about 100 MB, once)" >&2
	@npm --prefix dashboard ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

test: tools engine examples dashboard browser ## Build and run every test, on the real engine and in a real browser
	@$(CARGO) test --workspace --locked --features tuman/torture
	@npm --prefix dashboard run --silent check
	@node --test dashboard/tests/dashboard.mjs

# Debian's Chromium, for the tests of the dashboard.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || echo /usr/bin/chromium)
export CHROMIUM
browser:
	@test -x "$(CHROMIUM)" || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >&2; } || \
		{ echo "missing: chromium. Install it (apt-get install chromium), or name another in CHROMIUM" >&2; exit 1; }

pictures: tools engine dashboard browser ## Take the pictures in docs/pictures anew, as the tests see them
	@$(CARGO) test --workspace --locked --features tuman/torture --no-run
	@PICTURES=docs/pictures node --test --test-name-pattern=pictures dashboard/tests/dashboard.mjs

torture: tools engine ## Kill, cut off, fill and damage a collector for seven minutes, and hold it to account
	@TORTURE_KILLS=$${TORTURE_KILLS:-200} $(CARGO) test --locked --features torture --test torture

attack: tools engine ## Attack the privacy promises in full, and print how far each attack gets (half an hour)
	@TUMAN_ATTACK=full $(CARGO) test --release --locked --test it privacy::attack -- --test-threads 1

audit-privacy: tools engine ## Audit noise, margins and epsilon over 20,000 seals of each day (six minutes)
	@TUMAN_AUDIT=full $(CARGO) test --locked --features torture --test it -- --test-threads 1 twins seal::law seal::statistics

# How long each target is fuzzed, in seconds.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS := report identifier detect spool_recovery
# Fuzzing needs coverage counters, which the stable compiler has, and no sanitizer, which it has not. What is found beside
# the seeds stays in fuzz/target; a crash is left in fuzz/artifacts.
fuzz: tools .tools/bin/cargo-fuzz ## Fuzz what reads untrusted bytes, 10 minutes each; FUZZ_SECONDS=60 for less
	@for target in $(FUZZ_TARGETS); do \
		echo "fuzz: $$target"; \
		mkdir -p fuzz/target/found/$$target; \
		RUSTC_BOOTSTRAP=1 PATH="$(CURDIR)/.tools/bin:$$PATH" cargo fuzz run --sanitizer none $$target \
			fuzz/target/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
			-dict=fuzz/report.dict; \
	done

.tools/bin/cargo-fuzz:
	@$(CARGO) install cargo-fuzz --version 0.13.1 --locked --root .tools

lint: tools dashboard/node_modules/.package-lock.json ## Check format, lints and documentation; dependencies too where cargo-deny is installed
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@$(CARGO) clippy --all-targets --locked --features torture -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet
	@npm --prefix dashboard run --silent check
	@if command -v cargo-deny >/dev/null; then cargo deny --log-level error check bans licenses sources; \
	else echo "lint: cargo-deny is not installed (cargo install cargo-deny --locked): dependencies were not checked"; fi

advisories: tools ## Check dependencies against the advisory database, which is fetched
	@cargo deny check advisories

format: tools ## Format the code
	@$(CARGO) fmt --all

bench: tools engine ## Measure collection beside its floors, on the built program
	@$(CARGO) bench --locked --bench collect

bench-stats: tools engine ## Seal a year of an app with 500 declared cells, and time every question about it
	@$(CARGO) bench --locked --bench stats

flood: tools engine ## Flood the built program with ten times what it takes, for a minute
	@$(CARGO) bench --locked --bench flood

clean: ## Remove what was built, fetched and simulated
	@rm -rf target fuzz/target engine/node_modules dashboard/node_modules dashboard/dist/assets dashboard/dist/index.html.* demo-data

# Says which tool is missing and how to get it, before anything half-way fails.
tools:
	@missing=0; \
	need() { command -v "$$1" >/dev/null || { echo "missing: $$1. $$2" >&2; missing=1; }; }; \
	need cargo "Install Rust 1.95 or later: https://rustup.rs"; \
	need node "Install Node.js 20.19, 22.12 or later (Debian 12 has 18: take that of nodejs.org, or of deb.nodesource.com)"; \
	node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null || \
		{ ! command -v node >/dev/null || { echo "too old: node $$(node --version). Install Node.js 20.19, 22.12 or later" >&2; missing=1; }; }; \
	need npm "Install npm, which comes with Node.js"; \
	need cc "Install a C compiler: apt-get install build-essential"; \
	exit $$missing
