# Sourced by every scenario and check: the helper functions they are written in. What each means, and what makes
# a check honest, stands in scripts/scenarios/README.md. The functions are in modules, by concern; bash runs the
# steps and asks the engine, and what is to be counted or compared goes to `account` (services/account).
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "${BASH_SOURCE[0]}")/host.sh"

# What the modules share.
name=${0##*/}
name=${name%.sh}
began=$SECONDS
checks=0
steps=0
step_began=''    # by the engine's clock: what was logged before counts no more
output=''        # of the last command
exit_status=0    # of the last command
failure=''       # why the scenario ends
scratch=''       # a folder that is gone at the end
unfinished=''    # the marker: as long as this file is there, the lab is not as it was found
held=''          # the lock
nested=''        # it runs within a check, whose lab this is
traffic=''       # what both sides have logged of the traffic
traffic_began='' # by the engine's clock; nothing without traffic
traffic_address=''
sent=0 served=0 failed=0 received=0 refused=0
processes='' # that must stay the same
token=''     # with which a host has joined
on_terminal='' # has `account` a terminal to count on?
[ ! -t 1 ] || on_terminal=1
run_limit=${RUN_LIMIT:-120}
log_limit=${LOG_LIMIT:-20}

# shellcheck source=../lib/scenario/run.sh
. "$LAB_DIR/scripts/lib/scenario/run.sh"
# shellcheck source=../lib/scenario/log.sh
. "$LAB_DIR/scripts/lib/scenario/log.sh"
# shellcheck source=../lib/scenario/time.sh
. "$LAB_DIR/scripts/lib/scenario/time.sh"
# shellcheck source=../lib/scenario/traffic.sh
. "$LAB_DIR/scripts/lib/scenario/traffic.sh"
# shellcheck source=../lib/scenario/tidy.sh
. "$LAB_DIR/scripts/lib/scenario/tidy.sh"
# shellcheck source=../lib/scenario/shared.sh
. "$LAB_DIR/scripts/lib/scenario/shared.sh"
