//go:build !linux

package main

import (
	"errors"
	"net/netip"
)

func watch(netip.Prefix) error { return errors.New("watching needs Linux") }
