# The lab's commands. `make` alone lists them.
SHELL := /bin/bash
script = @cd "$(CURDIR)" && ./scripts

.DEFAULT_GOAL := help
.PHONY: help up down status logs entries svid scenarios test mutants lint images pull-test bench classroom classroom-down k8s-up k8s-bad-id k8s-down k8s-test clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z%A-Z0-9-]+:.*## / {sub("%", "NAME", $$1); printf "  make %-16s %s\n", $$1, $$2}' Makefile
up: ## start the lab, and wait until the client has been served
	$(script)/up.sh
down: ## remove the lab's containers, networks and volumes
	$(script)/lab.sh down
status: ## what runs, and whether the client is served
	$(script)/lab.sh status
logs: ## follow the logs of the two programs; all=1 for SPIRE's too
	$(script)/lab.sh logs $(if $(all),all)
entries: ## the registration entries
	$(script)/lab.sh entries
svid: ## the SVID that each user of the host gets
	$(script)/lab.sh svid
scenarios: ## list the scenarios with their claims
	$(script)/lab.sh scenarios
scenario-%: ## run one scenario; PAUSE=1 waits for Enter between its steps
	$(script)/lab.sh scenario '$*'
test: ## unit tests, checks and all scenarios, against labs of their own
	$(script)/test.sh
mutants: ## break the lab in many ways, and see that the suite notices each; ONLY=name for one
	$(script)/mutants.sh
lint: ## gofmt, vet, staticcheck, shellcheck, and SPIRE's and Compose's own checks
	$(script)/lint.sh
images: ## build every image from Go modules, where none can be pulled
	$(script)/images.sh
pull-test: ## the route of official images, from a registry on loopback with stand-ins (root on Debian)
	$(script)/pull-test.sh
bench: ## how fast, how small: measured on this machine; QUICK=1 only shows that it works
	$(script)/bench.sh
classroom: ## N labs on this machine, each verified: make classroom N=20
	$(script)/classroom.sh up '$(N)'
classroom-down: ## remove the labs of the classroom
	$(script)/classroom.sh down
k8s-up: ## the lab on the cluster of the current kubectl context, which it names and asks for (YES=1)
	$(script)/lab.sh k8s-up
k8s-bad-id: ## there: run the client under the server's service account, and see who refuses
	$(script)/lab.sh k8s-bad-id
k8s-down: ## remove the lab from that cluster
	$(script)/lab.sh k8s-down
k8s-test: ## all of that checked, on a cluster built from Go modules, or on KUBECONFIG=... with YES=1
	$(script)/lab.sh k8s-test
clean: down ## down, and remove what was built in this folder (images stay)
	$(script)/lab.sh clean
