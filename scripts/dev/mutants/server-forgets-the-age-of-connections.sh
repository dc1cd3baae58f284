# shellcheck shell=bash
# the server keeps every connection open, whatever -max-connection-age says
replace services/server/main.go 'limitAge(cfg.maxAge, logger, handler(cfg.maxBody, logger))' 'handler(cfg.maxBody, logger)'
caught_by unit server TestServerBoundsTheAgeOfAConnection/a_bound_passed 'connection closed: false; want it served, closed: true'
caught_by scenario kept-connection 'the server closes the connection, with an answer'
