package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// languages has environments with languages other than English, and with time zones.
func languages() []environment {
	return []environment{
		starts("a decimal comma, in a classroom", func(m *machine) {
			m.set("LC_ALL=de_DE.UTF-8", "LC_NUMERIC=de_DE.UTF-8", "LANG=de_DE.UTF-8")
			m.works("classroom 2", "classroom-down\" removes all labs")
			files, err := filepath.Glob(m.in(".cache", "bench", "classroom-2.json"))
			if err != nil || len(files) != 1 {
				m.wrong("the classroom's JSON report is missing: %v", err)
			}
			text, err := os.ReadFile(files[0])
			if must(m.t, err); json.Unmarshal(text, new(any)) != nil {
				m.wrong("the classroom's JSON report is invalid: %s", text)
			}
			m.works("classroom-down")
		}),
		starts("Turkish, in which the small I has no dot, and a zone 14 hours ahead", func(m *machine) {
			m.set("LC_ALL=tr_TR.UTF-8", "LANG=tr_TR.UTF-8", "LANGUAGE=tr", "TZ=Pacific/Kiritimati")
			m.works("up", "the client is served")
			m.works("scenario expired --quick", "PASS expired")
			m.works("doctor")
		}),
		quick("a name in capitals, one of them Turkish", func(m *machine) {
			m.set("COMPOSE_PROJECT_NAME=IŞIK LIST")
			m.refused("up", "COMPOSE_PROJECT_NAME=i-ik-list")
		}),
		quick("a language that is not installed, and a zone that does not exist", func(m *machine) {
			m.set("LC_ALL=tlh_KX.UTF-8", "LANG=tlh_KX.UTF-8", "LANGUAGE=tlh", "TZ=Mars/Olympus")
			m.works("scenarios", "bad-id")
			m.works("down")
		}),
	}
}

// measure starts the lab on empty volumes with Compose alone, and with these additional Compose files. It returns the seconds from this
// start to the client's first success.
func (m *machine) measure(files ...string) float64 {
	m.t.Helper()
	words := []string{m.compose, "--file", "compose.yaml"}
	for _, file := range files {
		words = append(words, "--file", file)
	}
	m.tidy()
	began := m.engineTime()
	m.runs(append(words, "up", "--detach")...)
	var first time.Time
	until(m.t, time.Minute, "the client is served", func() (bool, string) {
		said := m.docker(m.t, "logs", "--timestamps", m.container("client")).Stdout()
		for _, line := range lines(said) {
			if stamp, text, _ := strings.Cut(line, " "); strings.Contains(text, "Success") {
				var err error
				first, err = time.Parse(time.RFC3339Nano, stamp)
				return err == nil, line
			}
		}
		return false, said
	})
	return first.Sub(began).Seconds()
}

func (m *machine) engineTime() time.Time {
	m.t.Helper()
	now, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(m.engineSays("info", "--format", "{{.SystemTime}}")))
	must(m.t, err)
	return now
}

// gateway creates a network outside of the lab, and returns the engine's address in it.
func (m *machine) gateway() string {
	m.t.Helper()
	other := "other-" + m.project
	m.engineSays("network", "create", other)
	m.t.Cleanup(func() { m.docker(m.t, "network", "rm", other) })
	return strings.TrimSpace(m.engineSays("network", "inspect", other, "--format", "{{(index .IPAM.Config 0).Gateway}}"))
}

// networks has environments with DNS servers that refuse, lie, or do not answer. One more environment watches the packets from the lab to
// other networks.
func networks() []environment {
	var all []environment
	for _, manner := range []string{"hangs", "refuses", "lies"} {
		all = append(all, starts("a DNS server that "+manner+": less than twice the usual time, and it is not asked", func(m *machine) {
			if m.usual == 0 {
				m.usual = m.measure()
			}
			program, err := sandboxProgram()
			must(m.t, err)
			// compose.yaml sets no DNS server for spire-server, server and client, so they would use the machine's DNS server. Here they
			// use the test's DNS server.
			gateway := m.gateway()
			asked := m.background(m.t, program, "dns", gateway+":53", manner)
			yaml := "services:\n"
			for _, service := range []string{"spire-server", "server", "client"} {
				yaml += fmt.Sprintf("  %s: {dns: %s}\n", service, gateway)
			}
			file := filepath.Join(m.box, "dns.yaml")
			must(m.t, os.WriteFile(file, []byte(yaml), 0o644))
			took := m.measure(file)
			if said := asked.out.String(); said != "" {
				m.wrong("the DNS server was asked: %s", said)
			}
			if m.t.Logf("a start takes %.1f s usually, and took %.1f s with this DNS server", m.usual, took); took >= 2*m.usual {
				m.wrong("the start took %.1f s instead of %.1f s", took, m.usual)
			}
			m.docker(m.t, "exec", m.container("client"), "probe", "http://nobody.test/")
			until(m.t, 5*time.Second, "a program asks the DNS server (otherwise this test shows nothing)", asked.out.has("nobody"))
		}))
	}
	return append(all, starts("a lab that starts and runs for 20 s: no packet goes to an address outside its network", func(m *machine) {
		program, err := sandboxProgram()
		must(m.t, err)
		m.runs(m.compose, "create")
		subnet := strings.TrimSpace(m.engineSays("network", "inspect", m.project+"_default", "--format", "{{(index .IPAM.Config 0).Subnet}}"))
		seen := m.background(m.t, program, "watch", subnet)
		until(m.t, 10*time.Second, "the watch has begun", seen.out.has("watching"))
		m.works("up", "the client is served")
		time.Sleep(20 * time.Second)
		if said := seen.out.String(); strings.TrimSpace(said) != "watching" {
			m.wrong("packets left the network: %s", said)
		}
		// The watch must see a packet from the client to a network of this machine outside the lab.
		m.docker(m.t, "exec", m.container("client"), "probe", "http://"+m.gateway()+":9/")
		until(m.t, 5*time.Second, "the watch sees a packet (otherwise this test shows nothing)", seen.out.has("protocol 6"))
	}))
}

// edits: `make up` must apply the learner's changes, and must not recreate anything else.
func edits() []environment {
	const served = "the client is served"
	return []environment{
		starts("each file that can be edited, one after the other", func(m *machine) {
			m.works("up", served)
			m.edit("spire/agent/agent.conf", `"INFO"`, `"DEBUG"`)
			m.works("up", "rebuilt: spire-agent\n", "recreated (image or configuration changed): spire-agent\n", served)
			until(m.t, 15*time.Second, "the agent logs in detail", func() (bool, string) {
				said := m.docker(m.t, "logs", m.container("spire-agent")).Combined()
				return strings.Contains(said, "level=debug"), said
			})

			m.write("spire/host/passwd", m.read("spire/host/passwd")+"trainer:x:1199:1199::/:/sbin/nologin\n")
			m.runs("sed", "-i", `s|^say .bootstrap: done.|entry trainer spiffe://example.org/trainer "$host" unix:user:trainer; &|`, "spire/bootstrap.sh")
			m.works("up", "rebuilt: bootstrap, spire-agent, tools, workload\n", "entry create -entryID trainer", served)
			until(m.t, 15*time.Second, "the trainer has an identity", func() (bool, string) {
				said := m.docker(m.t, "exec", "--user", "trainer", m.container("client"), "svid").Combined()
				return strings.Contains(said, "spiffe://example.org/trainer"), said
			})
			m.edit("services/server/main.go", `"Success!!!"`, `"Success, as edited"`)
			m.works("up", "rebuilt: tools, workload\n", "Success, as edited")
			m.edit("compose.yaml", `"5s"`, `"3s"`)
			m.works("up", "recreated (image or configuration changed): client\n", served)
			contains(m.t, m.engineSays("inspect", "--format", "{{.Config.Cmd}}", m.container("client")), "-interval 3s")
			m.edit("spire/agent/agent.conf", `= "8081"`, `= "8082"`)
			m.edit("spire/server/server.conf", `= "8081"`, `= "8082"`)
			m.works("up", "rebuilt: spire-agent, spire-server\n", served)
			m.runs("git", "checkout", "--", ".")
			m.works("up", served, "Success!!!")
		}),
		starts("a join token in agent.conf", func(m *machine) {
			m.works("up", served)
			m.edit("spire/agent/agent.conf", `"INFO"`, "\"INFO\"\n    join_token = \"c0ffee00-0000-4000-8000-000000000000\"")
			m.fails("up", "LAB047")
			m.fails("doctor", "LAB047")
			m.took(30 * time.Second)
			m.silent("c0ffee00")
		}),
		starts("a program that does not compile", func(m *machine) {
			m.write("services/server/main.go", m.read("services/server/main.go")+"func broken( {\n")
			m.refused("up", "services/server/main.go:")
		}),
		starts("a program with a variable that nobody uses", func(m *machine) {
			m.edit("services/client/main.go", "func main() {", "func main() {\n\tunused := 1")
			m.refused("up", "services/client/main.go:", "declared and not used: unused")
		}),
		quick("a compose.yaml that is no YAML", func(m *machine) {
			m.write("compose.yaml", m.read("compose.yaml")+"services:\n\tnode: {\n")
			m.refused("up", "Compose cannot read compose.yaml: ", "yaml: line ", "git diff compose.yaml")
		}),
		quick("a compose.yaml with a key that Compose does not know", func(m *machine) {
			m.edit("compose.yaml", "\n    command: ", "\n    comand: ")
			m.refused("up", "Compose cannot read compose.yaml: ", "'comand' not allowed", "git diff compose.yaml")
		}),
		quick("a compose.yaml with a service twice", func(m *machine) {
			m.write("compose.yaml", strings.Replace(m.read("compose.yaml"), "\nservices:\n", "\nservices:\n  client: {image: x}\n", 1))
			m.refused("up", "Compose cannot read compose.yaml: ", "client", "git diff compose.yaml")
		}),
		quick("scenarios named by digits and dashes", func(m *machine) {
			for _, name := range []string{"http-1-0", "2nd-try", "x"} {
				m.write("scripts/scenarios/"+name+".sh", "# scripts/lab scenario "+name+"\n# the client must be served in "+name+"\nstep \"One\"\n")
				m.works("scenarios", name+" ", "the client must be served in "+name)
			}
		}),
	}
}
