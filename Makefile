# The door to the build. Meson and ninja do the work; tools/setup sees to the Debian packages.
# `make help` lists the targets.

PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
SOAK_MINUTES ?= 60

.DEFAULT_GOAL := all
.PHONY: all demo test lint bench fuzz soak install clean help

all: ## build build/garner
	@tools/setup build
	@tools/build release garner

demo: all ## kill a loaded server three times and count what was lost; under two minutes
	@tools/demo

test: ## every test; the last line counts them
	@tools/setup test
	@tools/test

lint: ## bars of the code, formatting, static analysis; silent when clean
	@tools/setup lint
	@tools/lint

bench: ## measure, each figure against a bound measured in the same run
	@tools/setup bench
	@tools/bench

fuzz: ## fuzz every decoder, FUZZ_SECONDS (60) each
	@tools/setup test
	@tools/fuzz $(FUZZ_SECONDS)

soak: all ## torture a server for SOAK_MINUTES (60)
	@tools/soak $(SOAK_MINUTES)

install: all ## install to PREFIX (/usr/local), below DESTDIR where set
	@install -D -m 755 build/garner $(DESTDIR)$(PREFIX)/bin/garner

clean: ## remove everything that was built
	@rm -rf build

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
