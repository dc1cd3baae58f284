package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

func (s *session) served(ctx context.Context, limit time.Duration) error {
	return s.until(ctx, limit, "the client is served", func() error { return s.lab.ClientServed(ctx) })
}

// broken makes a broken lab: it injects the fault silently, and keeps reports of the lab before and after the fault.
func (s *session) broken(ctx context.Context, now time.Time) error {
	// Restore the entries that the learner has changed to fix the previous fault.
	if err := s.ownEntries(ctx); err != nil {
		return err
	}
	if err := s.served(ctx, 40*time.Second); err != nil {
		return &engine.Problem{What: "the lab is not as it should be: " + err.Error(), Remedy: "run \"make up\", then \"make doctor\", which names the cause. \"make down\" and \"make up\" start a new lab"}
	}
	state, err := s.knows(ctx)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	if err := s.kept.Keep(stateFile, text); err != nil {
		return err
	}
	err = s.optional(ctx, "setup")
	if err == nil {
		err = s.snapshot(ctx, beforeFile)
	}
	if err != nil {
		_, dropErr := s.dropOverride() // no fault is open yet, so reset could not remove it
		return errors.Join(err, dropErr)
	}
	if err := s.kept.Begin(progress.Open{Name: s.Name, Number: s.Number(), Level: s.Level, Since: now}); err != nil {
		return err
	}
	err = s.do(ctx, "inject")
	if err == nil {
		err = s.until(ctx, 90*time.Second, "the fault shows", func() error { return s.inForce(ctx) })
	}
	if err != nil {
		return &engine.Problem{What: "the fault could not be injected: " + err.Error(), Remedy: "make reset"}
	}
	if err := s.snapshot(ctx, brokenFile); err != nil {
		return err
	}
	until, err := s.lab.Now(ctx)
	if err != nil {
		return err
	}
	return s.kept.Keep(askedFile, []byte(clock(until)))
}

// clock is a time of day in the form of the logs.
func clock(at time.Time) string { return at.UTC().Format(time.TimeOnly) + " UTC" }

// inForce returns nil if the fault has an effect.
func (s *session) inForce(ctx context.Context) error {
	if !s.has("shows") {
		if s.lab.ClientServed(ctx) == nil {
			return errors.New("the client is served")
		}
		return nil
	}
	held, err := s.holds(ctx, "shows")
	if err == nil && !held {
		err = errors.New("its condition does not hold")
	}
	return err
}

// restore brings the lab into the state after `make up`, and keeps the learner's additions. It passes its messages to the parameter tell,
// for example that it resets the lab.
func (s *session) restore(ctx context.Context, tell func(text string)) error {
	if err := s.tidyOverride(tell); err != nil {
		return err
	}
	err := s.restoreInPlace(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	tell("removing the fault does not restore the lab, so the lab is reset")
	var said bytes.Buffer
	if err := s.lab.Reset(ctx, &said); err != nil {
		return fmt.Errorf("%s%w", said.String(), err)
	}
	return nil
}

func (s *session) restoreInPlace(ctx context.Context) error {
	if err := s.optional(ctx, "revert"); err != nil {
		return err
	}
	containers, err := s.lab.Containers(ctx)
	if err != nil {
		return err
	}
	for _, container := range containers {
		if container.State == "paused" {
			if _, err := s.docker(ctx, nil, "unpause", container.ID); err != nil {
				return err
			}
		}
	}
	before, _ := s.container(ctx, lab.SPIREServer) // it may be missing
	if _, err := s.compose(ctx, "up", "--detach", "--no-deps", lab.SPIREServer); err != nil {
		return err
	}
	now, err := s.container(ctx, lab.SPIREServer)
	if err != nil {
		return err
	}
	if err := s.until(ctx, time.Minute, "the SPIRE server answers", func() error {
		_, err := s.spire(ctx, lab.SPIREServer, "healthcheck")
		return err
	}); err != nil {
		return err
	}
	if err := s.forget(ctx); err != nil {
		return err
	}
	if err := s.ownEntries(ctx); err != nil {
		return err
	}
	if _, err := s.compose(ctx, "up", "--detach", "--remove-orphans"); err != nil {
		return err
	}
	recreateAgent := func() error {
		_, err := s.compose(ctx, "up", "--detach", "--no-deps", "--force-recreate", lab.SPIREAgent)
		return err
	}
	// The agent's cache may have SVIDs from a SPIRE server with different data. The agent would serve these SVIDs until it notices the
	// difference, and would then exit.
	if now.ID != before.ID {
		if err := recreateAgent(); err != nil {
			return err
		}
	}
	identity := func() error { return s.hasIdentity(ctx, []string{lab.ClientUser, lab.ClientID}) }
	const what = "a program gets an identity"
	if err := s.until(ctx, 20*time.Second, what, identity); err != nil {
		if err := recreateAgent(); err != nil {
			return err
		}
		if err := s.until(ctx, time.Minute, what, identity); err != nil {
			return err
		}
	}
	if err := s.restarted(ctx, []string{lab.Server, lab.Client}); err != nil {
		return err
	}
	return s.served(ctx, time.Minute)
}

// forget removes the records that the SPIRE server did not have before the fault, and ends bans.
func (s *session) forget(ctx context.Context) error {
	now, err := s.knows(ctx)
	if err != nil {
		return err
	}
	was, ok := s.before()
	if ok {
		if err := s.remove(ctx, now.Entries, was.Entries, "entry", "delete", "-entryID", "{}"); err != nil {
			return err
		}
	}
	if err := s.distrust(ctx, now); err != nil {
		return err
	}
	// A banned agent is evicted, so that it can attest again. An agent that did not exist before the fault is evicted, too.
	return s.remove(ctx, now.Agents, slices.DeleteFunc(was.Agents, func(agent string) bool { return slices.Contains(now.Banned, agent) }), "agent", "evict", "-spiffeID", "{}")
}

// distrust removes the foreign trust bundles that the SPIRE server did not have before the fault. Before that it removes the federation
// relationships, which would fetch these bundles again.
func (s *session) distrust(ctx context.Context, now known) error {
	was, ok := s.before()
	if !ok {
		return nil
	}
	if err := s.remove(ctx, now.Federated, was.Federated, "federation", "delete", "-id", "{}"); err != nil {
		return err
	}
	return s.remove(ctx, now.Bundles, was.Bundles, "bundle", "delete", "-id", "spiffe://{}", "-mode", "dissociate")
}

// remove runs a command of the SPIRE server for each name that is in the parameter all, but not in the parameter kept. In the command, {}
// stands for the name.
func (s *session) remove(ctx context.Context, all, kept []string, command ...string) error {
	for _, one := range all {
		if slices.Contains(kept, one) {
			continue
		}
		words := slices.Clone(command)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "{}", one)
		}
		if _, err := s.spire(ctx, lab.SPIREServer, words...); err != nil {
			return err
		}
	}
	return nil
}

// tidyOverride removes the override of the fault, and prints where the learner's version is kept.
func (s *session) tidyOverride(tell func(text string)) error {
	saved, err := s.dropOverride()
	if err == nil && saved != "" {
		tell(overrideFile + " is removed; your edited version is kept in " + s.relative(saved))
	}
	return err
}

// closed is the end of the fault: it removes the fault's objects. Errors of the removal are ignored, because leftovers do not disturb the
// next fault.
func (s *session) closed(ctx context.Context, tell func(text string)) error {
	_, overridden := s.brought()
	if err := s.tidyOverride(tell); err != nil {
		return err
	}
	if s.has("teardown") {
		_, _ = s.holds(ctx, "teardown") // after a command that fails, teardown continues
	}
	// Remove the federation relationships of a fix, because the SPIRE server would continue to fetch their bundles.
	if now, err := s.knows(ctx); err == nil {
		_ = s.distrust(ctx, now)
	}
	images := s.images()
	if len(images) > 0 || overridden {
		// If the learner has fixed the fault, a container may still have a configuration of the fault.
		_, _ = s.compose(ctx, "up", "--detach", "--no-deps", lab.SPIREServer, lab.SPIREAgent, lab.Server, lab.Client)
		slices.Sort(images)
		for _, image := range slices.Compact(images) {
			_, _ = s.docker(ctx, nil, "image", "rm", image)
		}
	}
	return s.kept.Close()
}

// lock waits for the lock that each scenario and fault takes before it changes the lab.
func (s *session) lock(ctx context.Context, limit time.Duration) (unlock func(), err error) {
	if err := os.MkdirAll(s.Cache, 0o755); err != nil {
		return nil, err
	}
	return scenario.WaitForLock(ctx, filepath.Join(s.Cache, "lock-scenario-"+s.Project), limit, "another scenario or fault is running in this lab")
}
