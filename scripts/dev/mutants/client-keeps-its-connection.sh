# shellcheck shell=bash
# the client's loop keeps its connection, so that neither side is verified again
replace services/client/main.go '			DisableKeepAlives: !cfg.keep,
' ''
caught_by unit client TestLoopConnectsAnewForEachRequest '5 requests came over 1 connections'
