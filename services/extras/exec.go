//go:build unix

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
	"github.com/spiffe-lab/spiffe-lab/services/internal/identity"
)

// inherited is the file descriptor of the connection that a child inherits.
const inherited = 3

// execGenuine connects to the Workload API, starts a child that inherits the connection, and replaces itself by the program that
// the arguments name. The child then fetches the SVID over that connection, and stops its parent.
func execGenuine(ctx context.Context, args []string, stdout io.Writer, _ *log.Logger) error {
	if len(args) > 0 && args[0] == "-child" {
		return askAsChild(ctx, stdout)
	}
	flags := flag.NewFlagSet("exec", flag.ContinueOnError)
	if err := cli.Parse(flags, args, stdout, "PROGRAM..."); err != nil {
		return err
	}
	program := flags.Args()
	path, err := exec.LookPath(program[0])
	if err != nil {
		return err
	}
	endpoint, err := identity.FindEndpoint("", os.Getenv)
	if err != nil {
		return err
	}
	// From now on the kernel names this process as the peer of the agent's socket.
	connection, err := net.Dial("unix", strings.TrimPrefix(endpoint.Address, "unix://"))
	if err != nil {
		return err
	}
	socket, err := connection.(*net.UnixConn).File()
	if err != nil {
		return err
	}
	child := exec.Command("/proc/self/exe", "exec", "-child")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.ExtraFiles = []*os.File{socket}
	if err := child.Start(); err != nil {
		return err
	}
	return syscall.Exec(path, program, os.Environ())
}

func askAsChild(ctx context.Context, stdout io.Writer) error {
	parent := os.Getppid()
	defer syscall.Kill(parent, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	var now string
	for now == "" || now == own {
		if ctx.Err() != nil {
			return fmt.Errorf("the parent is still %s", own)
		}
		time.Sleep(10 * time.Millisecond)
		now, _ = os.Readlink("/proc/" + strconv.Itoa(parent) + "/exe")
	}
	fmt.Fprintf(stdout, "the process that connected runs %s\n", now)

	socket := os.NewFile(inherited, "workload-api")
	dial := func(context.Context, string) (net.Conn, error) { return net.FileConn(socket) }
	svid, err := workloadapi.FetchX509SVID(ctx, workloadapi.WithAddr("unix:///inherited"), workloadapi.WithDialOptions(grpc.WithContextDialer(dial)))
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "its child, which runs %s, got the SVID and the key of %s\n", own, svid.ID)
	return nil
}
