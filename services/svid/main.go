// Command svid prints the X.509-SVIDs that the Workload API gives to the user it runs as.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/spiffe-lab/spiffe-lab/services/internal/identity"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "svid: uid %d: %v\n", os.Getuid(), err)
		os.Exit(1)
	}
}

func run() error {
	endpoint, err := identity.FindEndpoint("", os.Getenv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	svids, err := workloadapi.FetchX509SVIDs(ctx, workloadapi.WithAddr(endpoint.Address))
	if err != nil {
		return err
	}
	for _, svid := range svids {
		leaf := svid.Certificates[0]
		fmt.Printf("SPIFFE ID   %s\nserial      %s\nvalid from  %s\nvalid until %s\n",
			svid.ID, identity.Serial(svid), leaf.NotBefore.UTC().Format(time.RFC3339), identity.Expiry(svid))
		for i, certificate := range svid.Certificates {
			fmt.Printf("chain %d     subject %q, issued by %q\n", i, certificate.Subject, certificate.Issuer)
		}
	}
	return nil
}
