# shellcheck shell=bash
# the engine package returns an empty log for a container that does not exist
replace services/internal/engine/containers.go '		return nil, err
	}
	args := []string{"logs", "--timestamps"}' '		return nil, nil
	}
	args := []string{"logs", "--timestamps"}'
caught_by unit internal/engine TestLog 'a log of no container: <nil>'
