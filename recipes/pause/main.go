// pause is the first process of each pod. It holds the pod's namespaces open,
// reaps what is left to it when the pod's processes share a PID namespace, and
// ends when it is told to. It does what Kubernetes' own pause does.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set when the program is linked.
var version = "unknown"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-v" {
		fmt.Printf("pause %s\n", version)
		return
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "pause should be the first process")
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	child := make(chan os.Signal, 1)
	signal.Notify(child, syscall.SIGCHLD)
	for {
		reap() // at once too: a child may have ended before its signal was ours
		select {
		case received := <-end:
			fmt.Fprintf(os.Stderr, "pause: %v, ending\n", received)
			return
		case <-child:
		}
	}
}

// reap collects every child that has ended. One signal may stand for many.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}
