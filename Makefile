# The lab's commands, all of them done by scripts/lab.sh; `make` alone lists them.
SHELL := /bin/bash
script = @bash scripts

.DEFAULT_GOAL := help
.PHONY: help up down status logs entries svid report scenarios test laptops mutants lint images pull-test bench classroom classroom-down k8s-up k8s-bad-id k8s-down k8s-test clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z%A-Z0-9-]+:.*## / {sub("%", "NAME", $$1); printf "  make %-16s %s\n", $$1, $$2}' Makefile
up: ## start the lab, and wait until the client has been served
	$(script)/lab.sh $@
down: ## remove the lab's containers, networks and volumes
	$(script)/lab.sh $@
status: ## what runs, and whether the client is served
	$(script)/lab.sh $@
logs: ## follow the logs of the two programs; all=1 for SPIRE's too
	$(script)/lab.sh $@
entries: ## the registration entries
	$(script)/lab.sh $@
svid: ## the SVID that each user of the host gets
	$(script)/lab.sh $@
report: ## write what there is to know of the lab into one file, without secrets: REPORT=file
	$(script)/lab.sh $@
scenarios: ## list the scenarios with their claims
	$(script)/lab.sh $@
scenario-%: ## run one scenario; PAUSE=1 waits for Enter between its steps
	$(script)/lab.sh $@
test: ## unit tests, checks and all scenarios, against labs of their own
	$(script)/lab.sh $@
laptops: ## play the laptops that nobody prepared; QUICK=1 without starting a lab, ONLY=words for one
	$(script)/lab.sh $@
mutants: ## break the lab in many ways, and see that the suite notices each; ONLY=name for one
	$(script)/lab.sh $@
lint: ## gofmt, vet, staticcheck, shellcheck, and SPIRE's and Compose's own checks
	$(script)/lab.sh $@
images: ## build every image from Go modules, where none can be pulled
	$(script)/lab.sh $@
pull-test: ## the route of official images, from a registry on loopback with stand-ins (root on Debian)
	$(script)/lab.sh $@
bench: ## how fast, how small: measured on this machine; QUICK=1 only shows that it works
	$(script)/lab.sh $@
classroom: ## N labs on this machine, each verified: make classroom N=20
	$(script)/lab.sh $@
classroom-down: ## remove the labs of the classroom
	$(script)/lab.sh $@
k8s-up: ## the lab on the cluster of the current kubectl context, which it names and asks for (YES=1)
	$(script)/lab.sh $@
k8s-bad-id: ## there: run the client under the server's service account, and see who refuses
	$(script)/lab.sh $@
k8s-down: ## remove the lab from that cluster
	$(script)/lab.sh $@
k8s-test: ## all of that checked, on a cluster built from Go modules, or on KUBECONFIG=... with YES=1
	$(script)/lab.sh $@
clean: ## down, and remove what was built in this folder (images stay)
	$(script)/lab.sh $@
