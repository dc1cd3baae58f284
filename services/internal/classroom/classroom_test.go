package classroom

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/engine/enginetest"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// TestMain: the test program plays docker and docker compose if it runs under their names.
func TestMain(m *testing.M) { enginetest.Main(m) }

func TestNumber(t *testing.T) {
	for _, text := range []string{"", "0", "abc", "-1", "08", "1.5", "201", "+5", " 5", "99999999999999999999"} {
		_, err := Number(text)
		var problem *engine.Problem
		if !errors.As(err, &problem) || !strings.HasPrefix(problem.What, "N is ") || problem.Remedy != "make classroom N=20" {
			t.Errorf("N=%s: %v", text, err)
		}
	}
	for text, want := range map[string]int{"1": 1, "20": 20, "200": 200} {
		if n, err := Number(text); n != want || err != nil {
			t.Errorf("N=%s: %d, %v", text, n, err)
		}
	}
}

func TestCountFree(t *testing.T) {
	for name, test := range map[string]struct {
		pools []pool
		used  []string
		want  int
		fails string
	}{
		"the engine's own pools":      {nil, nil, 31, ""},
		"one network exists":          {nil, []string{"172.17.0.0/16"}, 30, ""},
		"a route over many":           {nil, []string{"172.16.0.0/12"}, 16, ""},
		"a small one within":          {nil, []string{"192.168.17.0/24"}, 30, ""},
		"a pool of the configuration": {[]pool{{"10.201.0.0/16", 24}}, []string{"172.17.0.0/16", "10.201.3.0/24"}, 255, ""},
		"two pools":                   {[]pool{{"10.0.0.0/23", 24}, {"10.1.0.0/24", 26}}, nil, 6, ""},
		"the last addresses":          {[]pool{{"255.255.254.0/23", 24}}, nil, 2, ""},
		"IPv6 has enough":             {[]pool{{"10.0.0.0/23", 24}, {"fd00::/8", 64}}, []string{"fd00::/64"}, 2, ""},
		"a network without a subnet":  {nil, []string{"", ""}, 31, ""},
		"no network":                  {nil, []string{"10.0.0.0/99"}, 0, `"10.0.0.0/99" is not a network`},
		"no pool":                     {[]pool{{"10.0.0.0/24", 16}}, nil, 0, `"10.0.0.0/24 16" is not an address pool`},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := countFree(test.pools, test.used)
			if n != test.want || (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%d, %v; want %d, %q", n, err, test.want, test.fails)
			}
		})
	}
}

// TestLinux: the routes and the free memory must be read in the kernel's own format.
func TestLinux(t *testing.T) {
	const routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" +
		"tun0\t0A00000A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n"
	if got, want := routesIn(routes), []string{"172.17.0.0/16", "10.0.0.10/32"}; !slices.Equal(got, want) {
		t.Errorf("routes are %q, want %q", got, want)
	}
	if mib, known := availableIn("MemTotal:  9 kB\nMemAvailable:    2097152 kB\n"); mib != 2048 || !known {
		t.Errorf("%d MiB, %v", mib, known)
	}
	if _, known := availableIn("MemTotal:  9 kB\n"); known {
		t.Error("memory is known that nobody has told")
	}
}

func TestMiB(t *testing.T) {
	for text, want := range map[string]float64{"1.5GiB / 7GiB": 1536, "10MiB / 7GiB": 10, "512KiB / 7GiB": 0.5, "1048576B / 0B": 1, "1TiB": 1 << 20} {
		if got, err := mib(text); err != nil || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v MiB, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1,5GiB / 7GiB", "15", "1.2.3MiB"} {
		if _, err := mib(text); err == nil {
			t.Errorf("%q is taken as a size", text)
		}
	}
}

func TestTable(t *testing.T) {
	labs := []Lab{{Name: "c-01", Ready: 2.04, Result: ok}, {Name: "c-02", Result: "happy-path FAILED: see /a"}}
	err := addMemory(labs, `{"Name":"c-01-client-1","MemUsage":"10.5MiB / 7GiB"}
{"Name":"c-01-node-1","MemUsage":"512KiB / 7GiB"}
{"Name":"c-02-node-1","MemUsage":"1MiB / 7GiB"}
`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := table(labs), "lab   ready after       memory  result\nc-01       2.04 s     11.0 MiB  ok\nc-02       0.00 s      1.0 MiB  happy-path FAILED: see /a\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// small is a machine with little memory, or with the memory that the test sets.
type small int

func (s small) available() (int, bool) { return int(s), s > 0 }
func (small) routes() []string         { return []string{"172.16.0.0/12"} }

const (
	images   = "docker image inspect => 0 sha256:1\n"
	pools    = "docker info --format {{json .DefaultAddressPools}} => 0 null\n"
	nothing  = "docker ps --all => 0\ndocker network ls --format => 0\ndocker volume ls => 0\n"
	networks = `docker network ls --quiet => 0 n1
docker network inspect n1 => 0 [{"IPAM":{"Config":[{"Subnet":"192.168.0.0/20"},{"Subnet":"fd00::/64"}]}},{"IPAM":{"Config":null}}]
`
	everything = images + pools + nothing + networks + enginetest.Version + enginetest.Info
)

// TestRefusals: Up must refuse an impossible classroom before it changes anything.
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		rules      string
		memory     small
		n          int
		want, hint string
	}{
		"before a lab was built": {strings.Replace(everything, images, "docker image inspect => 1 No such image\n", 1), 0, 1,
			"no lab has been built on this machine yet: there is no image spiffe-lab/workload:local", "make up"},
		"a classroom exists": {"docker ps --all => 0 p-class-01_default | p-class-02_default | p-class-x_default | q-class-03_default\ndocker volume ls => 0 p-class-02_workload-api | p-class-04_pgdata\n" + everything, 0, 1,
			"a classroom exists already, with these labs (2): p-class-01 p-class-02", "\"make classroom-down\" removes it"},
		"no addresses": {everything, 0, 16, "Docker has addresses for 15 more networks, but 16 labs need 16 networks", "default-address-pools"},
		"no memory":    {everything, 400, 3, "this machine has 400 MiB of memory left, but 3 labs need about 450 MiB", "start at most 2 labs"},
	} {
		t.Run(name, func(t *testing.T) {
			c, log := class(t, test.rules, test.memory)
			err := c.Up(context.Background(), test.n, t.TempDir())
			var problem *engine.Problem
			if !errors.As(err, &problem) || problem.What != test.want || !strings.Contains(problem.Remedy, test.hint) {
				t.Errorf("%v, %+v", err, problem)
			}
			if said := log(); strings.Contains(said, " up ") || strings.Contains(said, " down ") {
				t.Errorf("something was changed:\n%s", said)
			}
			if locks, _ := filepath.Glob(c.Cache("lock-*")); len(locks) > 0 {
				t.Errorf("locks are left: %q", locks)
			}
		})
	}
}

// TestDown: Down must not remove a classroom that was started from another folder. Without a classroom it removes nothing.
func TestDown(t *testing.T) {
	c, _ := class(t, everything, 0)
	var said bytes.Buffer
	c.Screen = screen.Plain(&said)
	if err := c.Down(context.Background()); err != nil || said.String() != "there is no classroom\n" {
		t.Errorf("%v, %q", err, said.String())
	}
	other := `docker ps --all --no-trunc => 0 {"ID":"a","Folder":"/elsewhere","Project":"p-class-01"}
docker ps --all --format => 0 p-class-01_default
`
	c, log := class(t, other+everything, 0)
	err := c.Down(context.Background())
	var problem *engine.Problem
	if !errors.As(err, &problem) || problem.What != "p-class-01 was started from another folder, /elsewhere" || problem.Remedy != "make -C '/elsewhere' classroom-down" {
		t.Errorf("%v", err)
	}
	if strings.Contains(log(), " down ") {
		t.Errorf("it was removed:\n%s", log())
	}
}

// TestRemove: for each lab, classroom-down must say what stays. It prints the messages of a removal only if the removal fails.
func TestRemove(t *testing.T) {
	const stays = "the volume p-class-01_mine stays, because the lab did not create it"
	for down, want := range map[string]string{
		"0 Volume removed": "  " + stays + "\n  p-class-01 is removed\n",
		"1 no memory":      "    no memory\n  p-class-01 could not be removed: the lab cannot be removed: no memory\n",
	} {
		c, _ := class(t, "down --volumes => "+down+"\nconfig --quiet => 0\ndocker container ls => 0\ndocker network ls --filter => 0\ndocker volume ls --quiet => 0 p-class-01_mine\n"+everything, 0)
		var said bytes.Buffer
		c.Screen = screen.Plain(&said)
		if err := c.Need(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := c.remove(context.Background(), "p-class-01"); (err != nil) != strings.HasPrefix(down, "1") || said.String() != want {
			t.Errorf("%v, %q; want %q", err, said.String(), want)
		}
	}
}

// class returns the classroom of a lab named p. For this classroom, a fake docker answers by the rules.
func class(t *testing.T, rules string, memory small) (*Class, func() string) {
	t.Helper()
	e, err := engine.New(enginetest.Start(t, rules))
	if err != nil {
		t.Fatal(err)
	}
	c := New(&launch.Launcher{Engine: e, Screen: screen.Plain(&bytes.Buffer{})})
	c.machine = memory
	return c, func() string { return enginetest.Log(t) }
}

// TestBreak: every lab of the classroom must get the fault. For a lab that does not get it, the reason must be printed.
func TestBreak(t *testing.T) {
	c, _ := class(t, everything, 0)
	faults := filepath.Join(c.Dir, "scripts", "faults")
	if err := os.CopyFS(faults, os.DirFS("../../../scripts/faults")); err != nil {
		t.Fatal(err)
	}
	said := &bytes.Buffer{}
	c.Screen = screen.Plain(said)
	ctx := context.Background()
	problem := func(err error, what string) {
		t.Helper()
		var problem *engine.Problem
		if !errors.As(err, &problem) || problem.What != what {
			t.Errorf("%v, not %s", err, what)
		}
	}
	problem(c.Break(ctx, "nonsense"), `there is no fault "nonsense"`)
	problem(c.Break(ctx, "clean-up"), "there is no classroom")

	both := "docker ps --all --format => 0 p-class-01_default | p-class-02_default\ndocker info --format {{json .NCPU}} => 0 2\n"
	c, _ = class(t, both+everything, 0)
	c.Screen = screen.Plain(said)
	if err := os.CopyFS(filepath.Join(c.Dir, "scripts", "faults"), os.DirFS(faults)); err != nil {
		t.Fatal(err)
	}
	if err := progress.Of(c.Dir, "p-class-01").Begin(progress.Open{Name: "02-second-shift", Number: 2, Level: 1}); err != nil {
		t.Fatal(err)
	}
	problem(c.Break(ctx, "1"), "not every lab has the fault")
	for _, want := range []string{
		"injecting the fault clean-up into 2 labs\n",
		"  p-class-01: FAILED: a fault is open already: second-shift (go on with \"make check\" or \"make hint\"; \"make give-up\" or \"make reset\" ends the open fault)\n",
		"  p-class-02: FAILED: the lab is not running: node is not running (make up)\n",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("want %q in:\n%s", want, said)
		}
	}
}
