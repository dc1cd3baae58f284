# shellcheck shell=bash
# the client always has the exit status 0
replace services/client/main.go 'os.Exit(status(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr), os.Stderr))' 'status(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr), os.Stderr)'
caught_by scenario bad-id 'the client says that it was refused: exit status is 0, not 4'
