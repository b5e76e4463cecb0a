# Shorthand for what .ci/run and the go command do; nothing lives only here.

.PHONY: build test check lint demo

build: ## bin/undrop
	go build -o bin/undrop ./cmd/undrop

test: ## all tests; those that need an engine skip where there is none
	go test ./...

check: ## everything that has to hold before a merge
	.ci/run

lint:
	.ci/run format vet lint

demo: ## the whole product on this machine, under a minute
	go run ./cmd/undrop demo
