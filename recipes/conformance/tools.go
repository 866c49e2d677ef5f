//go:build tools

// Package conformance names what is compiled, so that `go mod tidy` keeps what it needs in go.mod.
package conformance

import (
	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/images/agnhost"
)
