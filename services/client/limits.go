package main

import (
	"fmt"
	"io"
	"net/http"
)

// readBody returns the body of a successful response. A body of more than -max-body bytes is an error.
func readBody(response *http.Response, cfg config) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, cfg.maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("unable to read the answer of %q: %w", cfg.url, err)
	case int64(len(body)) > cfg.maxBody:
		return nil, fmt.Errorf("the answer of %q is larger than -max-body, %d bytes", cfg.url, cfg.maxBody)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%q answered %s", cfg.url, response.Status)
	}
	return body, nil
}
