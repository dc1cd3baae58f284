# shellcheck shell=bash
# of a container that does not exist the engine package returns an empty log
replace services/internal/engine/containers.go '		return nil, err
	}
	args := []string{"logs", "--timestamps"}' '		return nil, nil
	}
	args := []string{"logs", "--timestamps"}'
caught_by unit internal/engine TestLog 'a log of no container: <nil>'
