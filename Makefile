# The commands of the lab: scripts/lab does what a learner or trainer needs, scripts/dev the rest; `make` alone lists them.
SHELL := /bin/sh
lab = @sh scripts/lab
dev = @bash scripts/dev
# A variable counts only if it is on make's command line: an environment may have a NAME or a PORT of its own.
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
logs: ## follow the logs of both programs; ALL=1: SPIRE's too
	$(lab) logs $(call given,ALL,--all)
entries: ## list the registration entries
	$(lab) entries
svid: ## show the SVID that each user of the host gets
	$(lab) svid
doctor: ## find the first cause of a problem; REPORT=file
	$(lab) doctor $(call argument,REPORT)
report: ## write the lab's state, without secrets, to REPORT=file
	$(lab) report $(call argument,REPORT)
console: ## show the lab live in a browser; PORT=, OPEN=0
	$(lab) console $(call flag,PORT,--port) $(call given,OPEN,--no-open)
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
break: ## inject the next fault, or NAME=name; show its ticket
	$(lab) break $(call argument,NAME)
ticket: ## show the ticket again
	$(lab) ticket
check: ## is the fault fixed? WHO=name: for the result record
	$(lab) check $(call flag,WHO,--who)
hint: ## show the next hint, of three
	$(lab) hint
give-up: ## show the cause of the fault, and fix it
	$(lab) give-up
reset: ## fix the fault: the lab is as before
	$(lab) reset
classroom: ## start N labs on this machine, each verified: N=20
	$(lab) classroom -- $(call argument,N)
classroom-down: ## remove the labs of the classroom
	$(lab) classroom-down
kit: ## pack the lab with its images into one file; KIT=folder
	$(lab) kit $(call flag,KIT,--to)
k8s-up: ## start the lab on the current kubectl context; YES=1
	$(lab) k8s-up $(call given,YES,--yes)
k8s-bad-id: ## run the client there under the wrong account; YES=1
	$(lab) k8s-bad-id $(call given,YES,--yes)
k8s-down: ## remove the lab from that cluster; YES=1
	$(lab) k8s-down $(call given,YES,--yes)
images: ## build every image from Go modules, without a registry
	$(lab) images
clean: ## down, and remove what was built here; ALL=1: progress too
	$(lab) clean $(call given,ALL,--all)

##@ for maintainers
lint: ## gofmt, vet, staticcheck, shellcheck, configuration files
	$(dev)/lint.sh
test: ## unit tests, checks, scenarios; FULL=1, ONLY=names, LABS=2
	$(dev)/test.sh
faults-test: ## test every fault, its fixes and the grader; ONLY=, QUICK=1
	@go test -c -tags faults -o .cache/bin/faults.test ./services/internal/fault
	@cd services/internal/fault && ../../../.cache/bin/faults.test -test.run '^TestEveryFault$$'
mutants: ## mutation tests: is each wrong version noticed? ONLY=names
	$(dev)/mutants.sh
environments: ## start the lab in odd environments; QUICK=1, ONLY=words
	$(dev)/test.sh environments
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
