# Two commands for a newcomer: `make demo` and `make test`. The rest is for those who work on it.
SHELL := /bin/bash
CARGO := cargo

.PHONY: demo test acceptance lint packages ui-deps e2e fmt

## Watch a campaign dial a thousand people over real SIP and RTP, on this machine alone.
demo: ui-deps
	@[ -x target/debug/campanile ] || echo "the first build takes some minutes"
	$(CARGO) build --quiet --bin campanile
	@target/debug/campanile demo $(ARGS)

## Everything that CI checks. Installs the Debian packages that it needs when root.
test: packages ui-deps lint
	$(CARGO) check --quiet --lib --no-default-features
	$(CARGO) test --quiet
	cd ui && npm run --silent check && npm test --silent && npm run --silent lint
	$(MAKE) e2e
	tests/acceptance.sh quick

## The demo at full size in each mode and on both databases; takes about six minutes.
acceptance: packages ui-deps
	$(CARGO) build --quiet --bin campanile
	tests/acceptance.sh full

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --lib --bins -- -D warnings
	$(CARGO) clippy --quiet --all-targets -- -D warnings \
	  -A clippy::unwrap_used -A clippy::indexing_slicing -A clippy::panic -A clippy::print_stdout -A clippy::print_stderr
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --no-deps --lib --document-private-items

## Both pages in a real browser against a real daemon; writes the README's screenshots.
e2e: packages ui-deps
	$(CARGO) build --quiet --bin campanile
	tests/browser.sh

packages:
	@tests/packages.sh

ui-deps:
	@command -v npm >/dev/null || { echo "npm is missing: install Node 20.19 or newer (https://nodejs.org)"; exit 1; }

fmt:
	$(CARGO) fmt --all
	cd ui && npm run --silent format
