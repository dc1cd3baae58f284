package report

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestSecrets: every form of a secret must be hidden. @ marks the secret. Each kind has at least three examples.
func TestSecrets(t *testing.T) {
	for kind, lines := range map[string][]string{
		"a URL": {
			"hint: does this machine reach a Go module mirror? (GOPROXY is https://eve:@@127.0.0.1:9)",
			"proxyconnect: http://eve:@@proxy.corp:3128 refused",
			"postgres://spire:p@ss/@@db:5432/spire?sslmode=disable",
			`remote: "https://@@github.com/eve/lab.git"`,
			`{"proxy":"http:\/\/eve:@@proxy"}`,
			"GOPROXY=https://eve:x@@mirror/a,https://bob:@@other/b",
		},
		"a header": {
			"Authorization: Bearer @", "Authorization: Basic @", "authorization: @", "Proxy-Authorization: Digest username=eve, response=@",
			`curl -H "X-Auth-Token: @" https://a`, "X-Api-Key: @", "the bearer @ was refused", `"Authorization":"token @"`,
		},
		"a cookie": {"Cookie: session=@", "Set-Cookie: id=@; Path=/; HttpOnly", "cookie: a=b; c=@", "sessionid=@"},
		"a password": {
			"passphrase=@", "PGPASSWD=@", "password: correct @ staple", "password = correct horse @", "PASS=@", "db_pwd: @", "MYSQL_ROOT_PASSWORD=@",
			`{"password":"correct @ staple"}`, `password="correct @ staple" user=eve`, `passwd='@ of several words'`, "passcode: @", "user=eve;Password=@;Server=db",
			"the password: one\ttwo @", "--password @", "--password=@", "curl -u eve:@x https://a", "export PASSPHRASE='two @'", `\"password\":\"two @\"`,
		},
		"a key": {
			"AWS_SECRET_ACCESS_KEY=@", "AWS_ACCESS_KEY_ID=@", "AZURE_STORAGE_KEY=@", "api_key: @", "apiKey=@", "SSH_KEY=@", "X_KEY=@", "--api-key @", `"accessKey": "@"`,
			"client_secret=@", "SIGNING_KEY_2=@", "encryptionKey: @", "TLS_PSK=@", "AccountKey=@;EndpointSuffix=core",
		},
		"a token": {
			`{"auth":"@"}`, `{"identitytoken":"@"}`, "//registry.npmjs.org/:_authToken=@", "token: @", "JOIN_TOKEN=@", `"token": "@",`, `Request received from "spiffe://example.org/client": GET "/token=@"`, "/run/x.token=@", `C:\x\token=@`, "-joinToken @", "?access_token=@&x=1",
			"ghp_@abcdefghijklmnopqrstuvwxyz0123", "github_pat_@_abcdefghijklmnop", "glpat-@abcdefghijklmn", "eyJhbGciOiJub25l@.eyJzdWIiOiJl@.@", "xoxb-@-1234567890",
			"AKIA@ABCDEFGHIJKL", "hvs.@abcdefghijk", "npm_@abcdefghijkl", "AGE-SECRET-KEY-1@ABCDEFG", "dckr_pat_@abcdefghij",
		},
		"a private key": {
			"-----BEGIN PRIVATE KEY-----\n@\n-----END PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----\nab@\n@cd\n-----END OPENSSH PRIVATE KEY-----",
			"-----BEGIN RSA PRIVATE KEY-----@-----END RSA PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----\n@ cut off", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n@\n-----END PGP PRIVATE KEY BLOCK-----",
		},
		"whose it is": {
			`C:\Users\@\lab\x`, `\\wsl$\Debian\home\@\lab`, `\\wsl.localhost\Debian\home\@`, `C:\\Users\\@\\lab`, `C:\Users\Eve @\lab`, "/home/@/lab", "/Users/@/lab", "/mnt/c/Users/@/x",
			"C:/Users/@/x", "unix:///home/@/docker.sock", "d:\\users\\@", "/var/home/@/x",
		},
	} {
		for _, line := range lines {
			text := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(line, "@@", "\x00"), "@", "S3CRET"), "\x00", "S3CRET@")
			quoted, _ := json.Marshal(map[string]any{"line": text, "token": "S3CRET", "list": []string{"-joinToken", "S3CRET", "--password", "S3CRET"}})
			for range 2 { // a second redaction must change nothing
				if text = Redact(text); strings.Contains(text, "S3CRET") {
					t.Errorf("%s: %q becomes %q", kind, line, text)
					break
				}
			}
			if again := Redact(text); again != text {
				t.Errorf("%s: %q becomes %q the second time", kind, text, again)
			}
			if got := (places{}).json(quoted); !json.Valid(got) || strings.Contains(string(got), "S3CRET") {
				t.Errorf("%s: as JSON %s becomes %s", kind, quoted, got)
			}
		}
	}
}

// TestKept: redaction must keep a text that a diagnosis needs, and a text that only looks like a secret.
func TestKept(t *testing.T) {
	for _, line := range []string{
		`time="2026-11-25T19:31:53Z" level=info msg="Plugin loaded" external=false plugin_name=join_token plugin_type=NodeAttestor subsystem_name=catalog`,
		`level=error msg="Agent crashed" error="failed to attest: nodeattestor(join_token): join token was not provided"`,
		`level=info msg="Node attestation was successful" reattestable=true spiffe_id="spiffe://example.org/spire/agent/x509pop/host"`,
		`2026/11/25 19:31:57 http: TLS handshake error from 127.0.0.1:52726: unexpected ID "spiffe://example.org/server"`,
		`Get "https://127.0.0.1:8443/": remote error: tls: bad certificate`, `go: http://127.0.0.1:9/github.com/spiffe/spire/@v/v1.15.3.info: refused`,
		`    NodeAttestor "join_token" {`, `        keys_path = "/var/lib/spire/server/keys.json"`, `            private_key_path = "/run/host-credential/key.pem"`,
		"docker exec --user client-workload spiffe-lab-client-1 observer", "Error: No such container:path: x:/run/host-credential", "/etc/passwd: no such file",
		"root:x:0:0:root:/:/sbin/nologin", "agent_spiffe_id_as_selector = true", "docker compose exec spire-server /opt/spire/bin/spire-server entry create -parentID spiffe://example.org/host",
		"bootstrap: '/opt/spire/bin/spire-server x509 mint' failed with exit status 1",
	} {
		if got := Redact(line); got != line {
			t.Errorf("%q becomes %q", line, got)
		}
	}
	const answer = `{"bundles":[{"jwt_authorities":[{"expires_at":"1827171113","key_id":"ylHA3FEacvMn6eXh","public_key":"MFkwEwYHKoZI","tainted":false}],"x":12345678901234567890}]}`
	if got := string((places{}).json(json.RawMessage(answer))); got != answer {
		t.Errorf("%s becomes %s", answer, got)
	}
}

func TestWithout(t *testing.T) {
	for text, want := range map[string]string{
		"/root/lab/x": "./x", "cd /root/lab": "cd .", "/root/lab-2": "~/lab-2", "/root": "~", "/rootless": "/rootless", "x/root/y": "x/root/y", "a:/root/b": "a:~/b",
	} {
		if got := (places{home: "/root", lab: "/root/lab"}).redact(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestWriter(t *testing.T) {
	var out strings.Builder
	w := &Writer{Out: &out}
	for _, part := range []string{"a\nhint: https://eve:S3C", "RET@proxy\nb", "\nc: tok", "en=S3CRET"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := "a\nhint: https://(taken out)@proxy\nb\nc: token=(taken out)"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
