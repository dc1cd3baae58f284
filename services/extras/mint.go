//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffegrpc/grpccredentials"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	svidv1 "github.com/spiffe/spire-api-sdk/proto/spire/api/server/svid/v1"
	"google.golang.org/grpc"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// mint asks the SPIRE server for an X.509-SVID over the network, and writes the SVID and its key into a file. `spire-server x509 mint`
// does the same over the admin socket.
func mint(ctx context.Context, args []string, stdout io.Writer, logger *log.Logger) error {
	id := spiffeid.RequireFromString("spiffe://example.org/client")
	ttl := time.Hour
	flags := flag.NewFlagSet("mint", flag.ContinueOnError)
	flags.Var(cli.ID{Value: &id}, "id", "`SPIFFE ID` to mint")
	flags.Var(cli.Duration{Value: &ttl}, "ttl", "`duration` for which the SVID is to be valid")
	file := flags.String("out", "minted.pem", "`file` to write the chain and the key into")
	if err := cli.Parse(flags, args, stdout); err != nil {
		return err
	}
	source, err := newSource(ctx, logger)
	if err != nil {
		return err
	}
	defer source.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	server := tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://example.org/spire/server"))
	connection, err := grpc.NewClient("spire-server:8081", grpc.WithTransportCredentials(grpccredentials.MTLSClientCredentials(source, source, server)))
	if err != nil {
		return err
	}
	defer connection.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{id.URL()}}, key)
	if err != nil {
		return err
	}
	answer, err := svidv1.NewSVIDClient(connection).MintX509SVID(ctx, &svidv1.MintX509SVIDRequest{Csr: csr, Ttl: int32(ttl.Seconds())})
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for _, certificate := range answer.GetSvid().GetCertChain() {
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: certificate}); err != nil {
			return err
		}
	}
	if err := pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
		return err
	}
	if err := os.WriteFile(*file, text.Bytes(), 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "the SPIRE server has minted %s; it and its key are in %s\n", id, *file)
	return err
}
