# scripts/lab runs what a learner or trainer needs. scripts/dev runs the rest. `make` alone lists the commands.
SHELL := /bin/sh
lab = @sh scripts/lab
dev = @bash scripts/dev
# A variable counts only if make's command line sets it, because the environment may have an unrelated NAME or PORT.
given = $(if $(findstring command line,$(origin $1)),$2)
argument = $(call given,$1,'$(subst ','\'',$($1))')
flag = $(call given,$1,$2 $(call argument,$1))

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*\#\#.*/\1/p' Makefile)

help: ## list these commands
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5) ":"} /^[a-z%A-Z0-9-]+:.*## / {sub("%", "NAME", $$1); printf "  make %-14s %s\n", $$1, $$2}' Makefile
up: ## start the lab, and wait until the client is served
	$(lab) up
down: ## remove the lab's containers, networks and volumes
	$(lab) down
status: ## show what runs, and whether the client is served
	$(lab) status
logs: ## follow the logs of both programs; ALL=1 adds SPIRE
	$(lab) logs $(call given,ALL,--all)
entries: ## list the registration entries
	$(lab) entries
svid: ## show the SVID that each user of the host gets
	$(lab) svid
doctor: ## find the first cause of a problem; REPORT=file
	$(lab) doctor $(call argument,REPORT)
report: ## write the lab's state, without secrets, to REPORT=file
	$(lab) report $(call argument,REPORT)
console: ## show the lab live in a browser; PORT=, OPEN=0, RECORD=, REPLAY=
	$(lab) console $(call flag,PORT,--port) $(call flag,RECORD,--record) $(call flag,REPLAY,--replay) $(call given,OPEN,--no-open)
handshake: ## perform one handshake, step by step; AS=user, or nobody
	$(lab) handshake $(call flag,AS,--as)
scenarios: ## list the scenarios with their expectations
	$(lab) scenarios
scenario-%: ## run one scenario; PAUSE=1 waits for Enter, QUICK=1, KEEP=1
	$(lab) scenario $* $(call given,PAUSE,--pause) $(call given,QUICK,--quick) $(call given,KEEP,--keep)
lesson-%: ## read the lesson of a scenario
	$(lab) lesson $*
answer-%: ## read the answer to the lesson's question
	$(lab) answer $*
faults: ## list the faults to find, with your progress; RESET=1
	$(lab) faults $(call given,RESET,--reset)
break: ## inject the next fault, or NAME=name; ALL=1: in the classroom
	$(lab) break $(call given,ALL,--all) $(call argument,NAME)
ticket: ## show the ticket again
	$(lab) ticket
check: ## check whether the fault is fixed; WHO=, CAUSE=key
	$(lab) check $(call flag,WHO,--who) $(call flag,CAUSE,--cause)
hint: ## show the next hint (a fault has three)
	$(lab) hint
give-up: ## show the cause of the fault, and fix it
	$(lab) give-up
reset: ## fix the fault, without showing its cause
	$(lab) reset
classroom: ## start N labs on this machine, and verify each; N=20
	$(lab) classroom -- $(call argument,N)
classroom-down: ## remove the labs of the classroom
	$(lab) classroom-down
receipts: ## show the result records in one table; FILES=
	$(lab) receipts $(call given,FILES,$(FILES))
kit: ## pack the lab with its images into one file; KIT=folder
	$(lab) kit $(call flag,KIT,--to)
k8s-up: ## start the lab on the current kubectl context; YES=1
	$(lab) k8s-up $(call given,YES,--yes)
k8s-bad-id: ## run the client on the cluster under the wrong account; YES=1
	$(lab) k8s-bad-id $(call given,YES,--yes)
k8s-down: ## remove the lab from the cluster; YES=1
	$(lab) k8s-down $(call given,YES,--yes)
images: ## build every image from Go modules, without a registry
	$(lab) images
clean: ## remove the lab and what was built; ALL=1: progress too
	$(lab) clean $(call given,ALL,--all)

##@ for maintainers
lint: ## gofmt, vet, staticcheck, shellcheck, configuration files
	$(dev)/test.sh lint
test: ## unit tests, checks, scenarios; FULL=1, ONLY=names, LABS=2
	$(dev)/test.sh
faults-test: ## test every fault, its fixes and the grader; ONLY=, PARTS=
	@go test -c -tags faults -o .cache/bin/faults.test ./services/internal/fault
	@cd services/internal/fault && ../../../.cache/bin/faults.test -test.run '^TestEveryFault$$'
mutants: ## mutation tests: is each wrong program noticed? ONLY=names
	$(dev)/test.sh mutants
environments: ## start the lab in odd environments; QUICK=1, ONLY=words
	$(dev)/test.sh environments
windows-test: ## run the programs for Windows under Wine (Debian, root)
	$(dev)/test.sh windows
pull-test: ## start the lab from official images in a local registry
	$(dev)/pull-test.sh
kit-test: ## start the kit without a network, Go, make or git (root)
	$(dev)/kit/test.sh
k8s-test: ## check the lab on Kubernetes; KUBECONFIG=file with YES=1
	$(dev)/kubernetes/test.sh
engines: ## run the lab on other engines; ENGINES=names, QUICK=1
	$(dev)/engines.sh
bench: ## measure start, memory and latency; QUICK=1, ONLY=parts
	$(dev)/bench.sh
