# shellcheck shell=bash
# the server presents the SVID from its start, and ignores newer ones
replace services/server/main.go 'newServer(cfg, source, source, logger)' 'newServer(cfg, first, source, logger)'
replace services/server/main.go '	logger.Printf("serving on %s, for %s only"' '	first, err := source.GetX509SVID()
	if err != nil {
		return err
	}
	logger.Printf("serving on %s, for %s only"'
caught_by scenario rotation 'the rotations cost nothing: '
