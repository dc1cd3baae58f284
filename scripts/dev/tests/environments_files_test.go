package main

import (
	"os"
	"os/exec"
	"strings"

	"gotest.tools/v3/icmd"
)

// files has environments about files: line endings, modes, names, and files left by an earlier run.
func files() []environment {
	const served = "the client is served"
	odd := func(folder string) func(m *machine) {
		return func(m *machine) {
			m.clone(folder)
			m.works("down")
			m.works("scenarios", "bad-id")
			m.works("lesson bad-id", "bad-id")
			m.works("faults", "clean-up")
		}
	}
	return []environment{
		starts("Git for Windows, core.autocrlf=true", func(m *machine) {
			m.clone("lab", "--config", "core.autocrlf=true")
			m.works("up", served)
		}),
		starts("umask 077", func(m *machine) {
			m.umask = "077"
			m.clone("lab")
			m.works("up", served)
		}),
		starts("umask 027, in a folder with spaces, a dollar, quotes and a leading dash", func(m *machine) {
			m.umask = "027"
			m.clone(`-My "lab" of $HOME's`)
			m.works("up", served)
		}),
		starts("a stamp of the images that is cut off, and a link to the folder", func(m *machine) {
			clone := m.folder
			must(m.t, os.Symlink(clone, m.box+"/link"))
			m.write(".cache/built-"+m.tag+".json", "")
			m.folder = m.box + "/link"
			m.works("up", served)
			m.folder = clone
			m.works("down")
			if left := m.engineState(); left != "" {
				m.wrong("this is left behind: %s", left)
			}
		}),
		starts("a folder called 演習", func(m *machine) {
			m.clone("演習")
			m.works("up", served)
		}),
		quick("a folder called 演習, and docker compose alone", func(m *machine) {
			m.clone("演習")
			config := exec.Command(m.compose, "--project-directory", m.folder, "config")
			config.Env = append(os.Environ(), "COMPOSE_PROJECT_NAME=")
			if out, err := config.CombinedOutput(); err != nil || !strings.Contains(string(out), "name: spiffe-lab\n") {
				m.wrong("Compose finds no project name: %s %v", out, err)
			}
		}),
		quick("a folder with a leading dash, spaces, a dollar and quotes", odd(`-My "lab" of $HOME's`)),
		quick("a folder with a very long name", odd(strings.Repeat("a very long name ", 14))),
		quick("a folder with a percent sign, a colon and a comma", odd("100%: mine, [yours] (2)*")),
		quick("a folder with a line break and a backslash", odd("lab\\of\nmine")),
		quick("a symlinked folder", func(m *machine) {
			must(m.t, os.Symlink(m.folder, m.box+"/link"))
			m.folder = m.box + "/link"
			m.works("down")
			m.works("scenarios", "bad-id")
		}),
		quick("no execute bits, as a zip leaves them", func(m *machine) {
			m.withoutModes()
			for _, target := range []string{"scenarios", "down"} {
				if result := m.learner("make", "--no-print-directory", target); result.ExitCode != 0 {
					m.wrong("make %s: %s", target, result.Combined())
				}
			}
			m.works("part build")
		}),
		starts("no git; and server.conf is edited afterwards", func(m *machine) {
			m.without("git")
			m.remove(".git")
			m.works("up", served)
			m.edit("spire/server/server.conf", `"1h"`, `"30m"`)
			m.works("up", "rebuilt: spire-server", served)
		}),
		starts("a server.conf that SPIRE does not understand", func(m *machine) {
			m.write("spire/server/server.conf", m.read("spire/server/server.conf")+"nonsense = 1\n")
			m.fails("up", "LAB042", "Unknown configuration detected")
		}),
		quick("agent.conf saved with the line endings of Windows", func(m *machine) {
			m.write("spire/agent/agent.conf", cr(m.read("spire/agent/agent.conf")))
			m.refused("up", "spire/agent/agent.conf has the line endings of Windows", "git checkout -- spire/agent/agent.conf")
		}),
		quick(".cache is a file", func(m *machine) {
			m.remove(".cache")
			m.write(".cache", "")
			m.refused("up", m.folder+"/.cache", "cannot be written", "git clone")
		}),
		quick(".cache is a link to a disk that is not there", func(m *machine) {
			m.remove(".cache")
			must(m.t, os.Symlink("/nowhere/at/all", m.in(".cache")))
			m.refused("up", m.folder+"/.cache", "cannot be written", "git clone")
		}),
		quick("a folder in which nothing can be written, before the first command", func(m *machine) {
			m.remove(".cache")
			m.readOnly(m.folder)
			m.refused("up", m.folder+"/.cache", "cannot be written", "git clone")
		}),
		quick("a folder in which nothing can be written, later", func(m *machine) {
			m.readOnly(m.folder)
			m.refused("up", m.folder+"/.cache", "cannot be written", "git clone")
			m.works("scenarios", "bad-id")
			m.works("down")
		}),
		quick(".cache in which nothing can be written", func(m *machine) {
			m.readOnly(m.in(".cache"))
			m.refused("up", m.folder+"/.cache", "cannot be written", "git clone")
			m.silent("rm -rf") // the folder has the learner's progress, so no remedy may delete it
		}),
		quick("the folder's disk is full, before the first command and later", func(m *machine) {
			if os.Getuid() != 0 {
				m.t.Skip("a full disk takes a mount, and that takes root")
			}
			full := func(folder string) {
				m.within = []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs -o size=4k tmpfs "$0" && { head -c 4096 /dev/zero >"$0/full" && cd "$PWD" && exec "$@"; }`, m.in(folder)}
			}
			must(m.t, os.MkdirAll(m.in(".lab", m.project), 0o755))
			m.write(".lab/"+m.project+"/results.jsonl", "{}\n")
			full(".cache")
			m.refused("up", "its disk is full", "make room")
			full(".cache/bin")
			m.refused("down", "its disk is full", "make room")
			m.silent("rm ")
			m.within = nil
			if m.read(".lab/"+m.project+"/results.jsonl") != "{}\n" {
				m.wrong("a result record is lost")
			}
		}),
		quick("a program of the lab that was written halfway", func(m *machine) {
			m.write(".cache/prebuilt", "")
			m.write(".cache/bin/lab", "")
			m.runs("chmod", "-x", ".cache/bin/lab")
			m.works("scenarios", "building the program lab", "bad-id")
		}),
		quick("programs of SPIRE that were compiled halfway", func(m *machine) {
			m.remove(".cache/prebuilt-images", ".cache/built-*")
			must(m.t, os.MkdirAll(m.in(".cache/prebuilt-images/spire-server/opt/spire/bin"), 0o755))
			m.write(".cache/prebuilt", "")
			m.write(".cache/prebuilt-images/spire-server/opt/spire/bin/spire-server", "")
			m.write(".cache/prebuilt-images/spire-server.made", "made\n")
			m.stub("go", `[ "$1" != build ] || { echo "go: no network here" >&2; exit 1; }; exec "$real" "$@"`)
			m.refused("up", "compiling spire-server", "could not be built from its Go module: go: no network here", "does this machine reach a Go module mirror?")
		}),
		quick("a lock that an archive has made an empty file", func(m *machine) {
			m.write(".cache/lock-scenario-"+m.project, "")
			m.refused("scenario bad-id", m.folder+"/.cache/lock-scenario-"+m.project)
		}),
	}
}

// ownership has environments with clones, containers or volumes that do not belong to this lab.
func ownership() []environment {
	all := []environment{
		starts("a volume that only bears the project's label", func(m *machine) {
			mine := "x_pgdata_" + m.project
			m.works("up", "the client is served")
			m.engineSays("volume", "create", "--label", "com.docker.compose.project="+m.project, mine)
			m.works("down", "the volume "+mine+" stays, because the lab did not create it")
			m.engineSays("volume", "inspect", mine)
			if left := strings.TrimSpace(m.engineState()); left != mine {
				m.wrong("something else is left behind: %s", left)
			}
		}),
		starts("two clones with one tag of the images, and an edit in one of them", func(m *machine) {
			m.works("up", "the client is served")
			mine := m.folder
			m.clone("another")
			m.edit("services/server/main.go", `"Success!!!"`, `"Success, as edited"`)
			m.works("part build")
			m.folder = mine
			m.runs("docker", "compose", "up", "--detach") // the doctor recommends this command in one of its findings
			m.works("status", "runs an image that was not built in this folder", "\"make up\" starts the image of this folder")
			m.works("up", "rebuilt", "Success!!!")
			m.works("status", "the client's latest request was served")
			m.silent("not built in this folder")
		}),
		starts("two clones with one name", func(m *machine) {
			m.works("up", "the client is served")
			m.clone("another")
			m.refused("up", m.project+" is in use: its containers were started from "+m.box+"/lab", "COMPOSE_PROJECT_NAME="+m.project+"-2")
			m.refused("down", "is in use", "COMPOSE_PROJECT_NAME")
			m.refused("clean", "is in use", "COMPOSE_PROJECT_NAME")
			m.clone("lab")
			m.works("down")
		}),
		quick("a project of somebody else has the name", func(m *machine) {
			m.engineSays("create", "--name", m.project+"-db", "--label", "com.docker.compose.project="+m.project, "--label", "com.docker.compose.project.working_dir=/srv/shop",
				"spiffe-lab/workload:"+m.builtTag, "node")
			m.refused("up", m.project+" is in use: its containers were started from /srv/shop", "COMPOSE_PROJECT_NAME="+m.project+"-2")
			m.refused("down", "/srv/shop")
			m.refused("clean", "/srv/shop")
		}),
		quick("a project of somebody else has the name, and does not say from which folder", func(m *machine) {
			m.engineSays("create", "--name", m.project+"-db", "--label", "com.docker.compose.project="+m.project, "spiffe-lab/workload:"+m.builtTag, "node")
			m.refused("up", m.project+" is in use: its containers were started from an unknown folder", "COMPOSE_PROJECT_NAME="+m.project+"-2")
			m.refused("down", "an unknown folder")
		}),
		quick("a volume that is called like one of a classroom's", func(m *machine) {
			volume := m.project + "-class-01_pgdata"
			m.engineSays("volume", "create", "--label", "com.docker.compose.project="+m.project+"-class-01", volume)
			m.works("classroom-down", "there is no classroom")
			m.engineSays("volume", "inspect", volume)
		}),
		quick("a link in the place of Docker's Compose plugin, to somebody else's", func(m *machine) {
			plugin := m.home(".docker", "cli-plugins", "docker-compose")
			m.works("clean")
			if target, err := os.Readlink(plugin); err != nil || target != m.compose {
				m.wrong("clean has changed %s: %s %v", plugin, target, err)
			}
		}),
	}
	things := map[string]func(m *machine) (string, []string){
		"container": func(m *machine) (string, []string) {
			name := m.project + "-client-1"
			return name, []string{"create", "--name", name, "--label", "com.docker.compose.project=", "spiffe-lab/workload:" + m.builtTag, "node"}
		},
		"network": func(m *machine) (string, []string) {
			return m.project + "_default", []string{"network", "create", m.project + "_default"}
		},
		"volume": func(m *machine) (string, []string) {
			return m.project + "_workload-api", []string{"volume", "create", m.project + "_workload-api"}
		},
	}
	for _, kind := range []string{"container", "network", "volume"} {
		create := things[kind]
		all = append(all, quick("somebody else's "+kind+" has a name of the lab's", func(m *machine) {
			mine, words := create(m)
			m.docker(m.t, words...).Assert(m.t, icmd.Success)
			m.refused("up", m.project+" is in use: the "+kind+" "+mine+" exists and was not created by this lab", "COMPOSE_PROJECT_NAME="+m.project+"-2")
			m.refused("down", mine)
		}))
	}
	return all
}
