# The lab's commands, all of them done by scripts/lab.sh; `make` alone lists them.
SHELL := /bin/bash
lab = @bash scripts/lab.sh

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*\#\#.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z%A-Z0-9-]+:.*## / {sub("%", "NAME", $$1); printf "  make %-16s %s\n", $$1, $$2}' Makefile
up: ## start the lab, and wait until the client has been served
	$(lab) $@
down: ## remove the lab's containers, networks and volumes
	$(lab) $@
status: ## what runs, and whether the client is served
	$(lab) $@
logs: ## follow the logs of the two programs; all=1 for SPIRE's too
	$(lab) $@
entries: ## the registration entries
	$(lab) $@
svid: ## the SVID that each user of the host gets
	$(lab) $@
doctor: ## name the first cause of what is wrong; REPORT=file judges a report, from whichever machine
	$(lab) $@
report: ## write what there is to know of the lab into one file, without secrets: REPORT=file
	$(lab) $@
console: ## show the lab in a browser, live: who spoke to whom, as whom, who refused; PORT=, OPEN=0
	$(lab) $@
handshake: ## one real handshake, step by step: AS=client-workload, server-workload or nobody
	$(lab) $@
faults: ## list the faults that you can find and mend: the symptom, your progress; RESET=1 forgets that
	$(lab) $@
break: ## put the next fault in, or NAME=name or number, and show what somebody complains of
	$(lab) $@
ticket: ## show that again
	$(lab) $@
check: ## is the fault mended? WHO=name for the receipt
	$(lab) $@
hint: ## the next hint, of three
	$(lab) $@
give-up: ## show what it was, and mend it
	$(lab) $@
mend: ## mend it without a word
	$(lab) $@
faults-test: ## test every fault, its right and wrong fixes and the grader; ONLY=name or number
	$(lab) $@
scenarios: ## list the scenarios with their claims
	$(lab) $@
scenario-%: ## run one scenario; PAUSE=1 waits for Enter between its steps
	$(lab) $@
test: ## unit tests, checks and all scenarios, against labs of their own; FULL=1 takes the full forms, ONLY=names these
	$(lab) $@
laptops: ## play the laptops that nobody prepared; QUICK=1 without starting a lab, ONLY=words for one
	$(lab) $@
mutants: ## break the lab in many ways, and see that the suite notices each; ONLY=name for one
	$(lab) $@
lint: ## gofmt, vet, staticcheck, shellcheck, and SPIRE's and Compose's own checks
	$(lab) $@
images: ## build every image from Go modules, where none can be pulled
	$(lab) $@
kit: ## pack the lab with its images into one file, for a room without a network: KIT=folder
	$(lab) $@
kit-test: ## unpack and play that on an engine without images, network, Go, make or git (root on Linux)
	$(lab) $@
pull-test: ## the route of official images, from a registry on loopback with stand-ins (root on Debian)
	$(lab) $@
engines: ## the lab on other container engines: ENGINES=names, QUICK=1 (Debian)
	$(lab) $@
bench: ## how fast, how small: measured on this machine; QUICK=1 only shows that it works
	$(lab) $@
classroom: ## N labs on this machine, each verified: make classroom N=20
	$(lab) $@
classroom-down: ## remove the labs of the classroom
	$(lab) $@
k8s-up: ## the lab on the cluster of the current kubectl context, which it names and asks for (YES=1)
	$(lab) $@
k8s-bad-id: ## there: run the client under the server's service account, and see who refuses
	$(lab) $@
k8s-down: ## remove the lab from that cluster
	$(lab) $@
k8s-test: ## all of that checked, on a cluster built from Go modules, or on KUBECONFIG=... with YES=1
	$(lab) $@
clean: ## down, and remove what was built in this folder (images stay)
	$(lab) $@
