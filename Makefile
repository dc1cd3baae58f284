# The commands of the lab: scripts/lab.sh does what a learner or trainer needs, scripts/dev the rest; `make` alone lists them.
SHELL := /bin/bash
lab = @bash scripts/lab.sh
dev = @bash scripts/dev

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*\#\#.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list these commands
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5) ":"} /^[a-z%A-Z0-9-]+:.*## / {sub("%", "NAME", $$1); printf "  make %-14s %s\n", $$1, $$2}' Makefile
up: ## start the lab, and wait until the client is served
	$(lab) $@
down: ## remove the lab's containers, networks and volumes
	$(lab) $@
status: ## what runs, and whether the client is served
	$(lab) $@
logs: ## follow the logs of both programs; all=1: SPIRE's too
	$(lab) $@
entries: ## list the registration entries
	$(lab) $@
svid: ## the SVID that each user of the host gets
	$(lab) $@
doctor: ## find the first cause of a problem; REPORT=file
	$(lab) $@
report: ## write the lab's state, without secrets, to REPORT=file
	$(lab) $@
console: ## show the lab live in a browser; PORT=, OPEN=0
	$(lab) $@
handshake: ## one real handshake, step by step; AS=user, or nobody
	$(lab) $@
scenarios: ## list the scenarios with their expectations
	$(lab) $@
scenario-%: ## run one scenario; PAUSE=1 waits for Enter at each step
	$(lab) $@
faults: ## list the faults to find, with your progress; RESET=1
	$(lab) $@
break: ## inject the next fault, or NAME=name; show its ticket
	$(lab) $@
ticket: ## show the ticket again
	$(lab) $@
check: ## is the fault fixed? WHO=name: for the result record
	$(lab) $@
hint: ## the next hint, of three
	$(lab) $@
give-up: ## show the cause of the fault, and fix it
	$(lab) $@
reset: ## fix the fault: the lab is as before
	$(lab) $@
classroom: ## N labs on this machine, each verified: N=20
	$(lab) $@
classroom-down: ## remove the labs of the classroom
	$(lab) $@
kit: ## pack the lab with its images into one file; KIT=folder
	$(lab) $@
k8s-up: ## start the lab on the current kubectl context; YES=1
	$(lab) $@
k8s-bad-id: ## run the client there under the wrong service account
	$(lab) $@
k8s-down: ## remove the lab from that cluster
	$(lab) $@
clean: ## down, and remove what was built here (images stay)
	$(lab) $@

##@ for maintainers
images: ## build every image from Go modules, without a registry
	$(dev)/images.sh
lint: ## gofmt, vet, staticcheck, shellcheck, configuration files
	$(dev)/lint.sh
test: ## unit tests, checks, scenarios; FULL=1, ONLY=names, LABS=2
	$(dev)/test.sh
faults-test: ## test every fault, its fixes and the grader; ONLY=names
	$(dev)/faults-test.sh
mutants: ## mutation tests: is each wrong version noticed? ONLY=names
	$(dev)/mutants.sh
environments: ## start the lab in odd environments; QUICK=1, ONLY=words
	$(dev)/environments.sh
pull-test: ## start from official images, out of a registry on loopback
	$(dev)/pull-test.sh
kit-test: ## start the kit without network, Go, make or git (root)
	$(dev)/kit/test.sh
k8s-test: ## check the lab on Kubernetes; KUBECONFIG=file with YES=1
	$(dev)/kubernetes/test.sh
engines: ## run the lab on other engines; ENGINES=names, QUICK=1
	$(dev)/engines.sh
bench: ## measure start, memory and latency; QUICK=1, ONLY=parts
	$(dev)/bench.sh
