package console

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Trace is one handshake, as `openssl s_client -trace` reports it, from the client's side.
type Trace struct {
	As    string      `json:"as"` // the user whose SVID was shown, or "nobody"
	Steps []TraceStep `json:"steps"`
	End   string      `json:"end"`     // the result
	Done  bool        `json:"done"`    // was the request answered?
	By    string      `json:"refused"` // the side that refused, or nothing
}

// TraceStep is one message of TLS 1.3 (RFC 8446, section 4).
type TraceStep struct {
	By      string   `json:"by"`      // client or server
	Message string   `json:"message"` // its name in RFC 8446
	Means   string   `json:"means"`
	Details []string `json:"details,omitempty"`
	Secret  bool     `json:"encrypted"`
}

var (
	record  = regexp.MustCompile(`^(Sent|Received) (?:TLS )?Record`)
	message = regexp.MustCompile(`^ +([A-Z][A-Za-z]+), Length=(\d+)`)
	alert   = regexp.MustCompile(`^ +Level=(\w+)\(\d+\), description=([a-z ]+)\((\d+)\)`)
	detail  = regexp.MustCompile(`^ +((?:cipher_suite |cipher_suites |NamedGroup: |URI:|X509v3 Subject Alternative Name|Not After *:|Signature Algorithm: (?:ecdsa_|rsa_)|TLS 1\.3).*)$`)
)

var means = map[string]string{
	"ClientHello":         "I speak TLS 1.3, and send my part of the key exchange",
	"ServerHello":         "I speak it too, and send my part. All further messages are encrypted",
	"EncryptedExtensions": "Further settings of this connection",
	"CertificateRequest":  "Send me your certificate. This makes the TLS mutual",
	"Certificate":         "My X.509-SVID, with my SPIFFE ID in it",
	"CertificateVerify":   "Proof that I have the private key of that SVID",
	"Finished":            "I have seen the same handshake as you",
	"NewSessionTicket":    "A ticket to resume this session later",
}

const (
	// noCertificate is the length of a Certificate message without a certificate: one byte for an empty context, and three bytes for an
	// empty list (RFC 8446, section 4.4.2).
	noCertificate = "4"
	noneMeans     = "No certificate: the list in this message is empty"
)

// alertNames has the names of alerts that OpenSSL 3.0's trace calls "unknown" (RFC 8446, section 6).
var alertNames = map[string]string{"116": "certificate required"}

// data describes the first bytes that each side sends after the handshake.
var data = map[string]string{
	"client": "The HTTP request",
	"server": "The HTTP response",
}

// ParseTrace reads what s_client printed.
func ParseTrace(as string, in io.Reader) (*Trace, error) {
	trace := &Trace{As: as}
	by := ""
	secret := false
	var step *TraceStep
	seen := map[string]bool{} // side and message
	add := func(message, means string) {
		trace.Steps = append(trace.Steps, TraceStep{By: by, Message: message, Means: means, Secret: secret})
		step = &trace.Steps[len(trace.Steps)-1]
		seen[by+" "+message] = true
	}
	scan := bufio.NewScanner(in)
	for scan.Scan() {
		line := harmless(scan.Text())
		if m := record.FindStringSubmatch(line); m != nil {
			by = map[string]string{"Sent": "client", "Received": "server"}[m[1]]
			secret, step = false, nil
			continue
		}
		if strings.Contains(line, "Inner Content Type") {
			secret = true
		}
		if strings.Contains(line, "Inner Content Type = ApplicationData") && by != "" && !seen[by+" ApplicationData"] {
			add("ApplicationData", data[by])
			continue
		}
		if m := message.FindStringSubmatch(line); m != nil && by != "" && means[m[1]] != "" {
			add(m[1], means[m[1]])
			if m[1] == "Certificate" && m[2] == noCertificate {
				step.Means = noneMeans
			}
			continue
		}
		if m := alert.FindStringSubmatch(line); m != nil && by != "" {
			if m[2] == "close notify" {
				continue
			}
			what := m[2]
			if name := alertNames[m[3]]; name != "" {
				what = name
			}
			other := map[string]string{"client": "server", "server": "client"}[by]
			add("Alert", fmt.Sprintf("%s (alert %s): the %s refuses the %s", what, m[3], by, other))
			if seen["server Finished"] && seen["client Finished"] && by == "server" {
				step.Details = afterFinished(seen["client ApplicationData"])
			}
			trace.By = by
			trace.End = fmt.Sprintf("refused by the %s: %s", by, what)
			step = nil
			continue
		}
		if m := detail.FindStringSubmatch(line); m != nil && step != nil && len(step.Details) < 4 {
			step.Details = append(step.Details, strings.TrimSpace(m[1]))
		}
		if strings.Contains(line, "Success!!!") {
			trace.Done = true
		}
		if strings.HasPrefix(line, "Verify return code:") || strings.HasPrefix(line, "    Verify return code:") {
			step = nil
		}
	}
	if err := scan.Err(); err != nil {
		return nil, err
	}
	if len(trace.Steps) == 0 {
		return nil, fmt.Errorf("no handshake was seen: the server did not answer, or this is not the output of openssl s_client -trace")
	}
	if trace.End == "" {
		trace.End = map[bool]string{true: "served: Success!!!", false: "the connection ended, and neither side sent a reason"}[trace.Done]
	}
	return trace, nil
}

// afterFinished says what a client does not notice in TLS 1.3: its handshake ends with its own Finished, and the server verifies the
// client's certificate later (RFC 8446, section 2).
func afterFinished(asked bool) []string {
	if asked {
		return []string{"The client had completed its handshake before this alert,", "and had sent its request. The server does not handle it."}
	}
	return []string{"The client had completed its handshake before this alert."}
}

// Print writes the trace for a terminal of 80 columns.
func (t *Trace) Print(out io.Writer) {
	for i, step := range t.Steps {
		arrow := "-->"
		if step.By == "server" {
			arrow = "<--"
		}
		lock := " "
		if step.Secret {
			lock = "*"
		}
		fmt.Fprintf(out, "%3d  client %s server %s %-20s %s\n", i+1, arrow, lock, step.Message, "")
		fmt.Fprintf(out, "     %s\n", step.Means)
		for _, d := range step.Details {
			if len(d) > 68 {
				d = d[:68] + "..."
			}
			fmt.Fprintf(out, "       %s\n", d)
		}
	}
	fmt.Fprintf(out, "\n* encrypted\n%s\n", t.End)
}
