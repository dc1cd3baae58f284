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

// served waits until the client is served.
func (s *session) served(ctx context.Context, limit time.Duration) error {
	return s.until(ctx, limit, "the client is served", func() error { return s.lab.ClientServed(ctx) })
}

// broken injects the fault, unseen, and keeps how the lab was before and after it.
func (s *session) broken(ctx context.Context, now time.Time) error {
	// What has been done to fix the one before goes.
	if err := s.ownEntries(ctx); err != nil {
		return err
	}
	if err := s.served(ctx, 40*time.Second); err != nil {
		return &engine.Problem{What: "the lab is not as it should be: " + err.Error(), Remedy: "make up, then make doctor says what is wrong; make down and make up begin again"}
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
	if err := s.optional(ctx, "setup"); err != nil {
		return err
	}
	if err := s.snapshot(ctx, beforeFile); err != nil {
		return err
	}
	if err := s.kept.Begin(progress.Open{Name: s.Name, Number: s.Number(), Level: s.Level, Since: now}); err != nil {
		return err
	}
	err = s.do(ctx, "inject")
	if err == nil {
		err = s.until(ctx, 90*time.Second, "the fault shows", func() error { return s.inForce(ctx) })
	}
	if err != nil {
		return &engine.Problem{What: "the fault could not be put in: " + err.Error(), Remedy: "make reset"}
	}
	return s.snapshot(ctx, brokenFile)
}

// inForce returns nil if the fault shows.
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

// restore makes the lab as `make up` leaves it, with what a learner has beside it. It tells where only a new lab helps.
func (s *session) restore(ctx context.Context, tell func(text string)) error {
	err := s.restoreInPlace(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	tell("that does not put it right: the lab is made anew")
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
	if _, err := s.compose(ctx, "up", "--detach", "--no-deps", lab.SPIREServer); err != nil {
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
	identity := func() error { return s.hasIdentity(ctx, []string{lab.ClientUser, lab.ClientID}) }
	const what = "a program gets an identity"
	if err := s.until(ctx, 20*time.Second, what, identity); err != nil {
		if _, err := s.compose(ctx, "up", "--detach", "--no-deps", "--force-recreate", lab.SPIREAgent); err != nil {
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

// forget removes what the SPIRE server did not know before the fault, and lifts bans.
func (s *session) forget(ctx context.Context) error {
	now, err := s.knows(ctx)
	if err != nil {
		return err
	}
	was, ok := s.before()
	remove := func(all, kept []string, command ...string) error {
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
	if ok {
		for _, err := range []error{
			remove(now.Entries, was.Entries, "entry", "delete", "-entryID", "{}"),
			remove(now.Federated, was.Federated, "federation", "delete", "-id", "{}"),
			remove(now.Bundles, was.Bundles, "bundle", "delete", "-id", "spiffe://{}", "-mode", "dissociate"),
		} {
			if err != nil {
				return err
			}
		}
	}
	// A host that was banned re-attests by itself. An agent that was not here before goes.
	return remove(now.Agents, slices.DeleteFunc(was.Agents, func(agent string) bool { return slices.Contains(now.Banned, agent) }), "agent", "evict", "-spiffeID", "{}")
}

// closed ends the fault, and removes what it brought along. What cannot be removed is not in the way of the next fault, so errors of that
// are ignored.
func (s *session) closed(ctx context.Context) error {
	if s.has("teardown") {
		_, _ = s.holds(ctx, "teardown") // each command of it is run, also after one that fails
	}
	if images := s.images(); len(images) > 0 {
		// Solved otherwise than by `make reset`, the server may still run it.
		_, _ = s.compose(ctx, "up", "--detach", "--no-deps", lab.Server, lab.Client, lab.SPIREAgent)
		slices.Sort(images)
		for _, image := range slices.Compact(images) {
			_, _ = s.docker(ctx, nil, "image", "rm", image)
		}
	}
	return s.kept.Close()
}

// lock keeps everybody else from changing the lab meanwhile.
func (s *session) lock(ctx context.Context, limit time.Duration) (unlock func(), err error) {
	if err := os.MkdirAll(s.Cache, 0o755); err != nil {
		return nil, err
	}
	return scenario.WaitForLock(ctx, filepath.Join(s.Cache, "lock-scenario-"+s.Project), limit, "another scenario or fault is at work on this lab")
}
