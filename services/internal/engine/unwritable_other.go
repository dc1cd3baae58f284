//go:build !windows

package engine

import "syscall"

const diskFull = syscall.ENOSPC
