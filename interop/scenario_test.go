package interop

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// atOnce is how many scenarios run at the same time: they mostly wait.
const atOnce = 8

// TestScenarios runs every scenario on every engine.
func TestScenarios(t *testing.T) {
	all := loadScenarios(t)
	for _, engine := range engines(t) {
		t.Run(engine.String(), func(t *testing.T) {
			got := runAll(all, engine)
			for i := range all {
				t.Run(all[i].Name, func(t *testing.T) {
					if why := elsewhere(&all[i]); why != "" {
						t.Skip("not here: " + why)
					}
					compare(t, Netstream, &all[i], got[i])
				})
			}
		})
	}
}

// elsewhere says why a scenario is not for this test run; "" when it is.
func elsewhere(sc *Scenario) string {
	if raceEnabled && slices.ContainsFunc(sc.Steps, func(s Step) bool { return s.Words[0] == "refill" }) {
		return "it changes a lent buffer, and the race detector says so, rightly"
	}
	return sc.NotOn[Netstream]
}

func runAll(all []Scenario, engine netstream.Engine) [][]string {
	got := make([][]string, len(all))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i := range all {
		if elsewhere(&all[i]) != "" {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			got[i] = Run(&all[i], engine)
		})
	}
	wg.Wait()
	return got
}

// compare holds what the steps printed to what the scenario says.
func compare(t *testing.T, runtime string, sc *Scenario, got []string) {
	t.Helper()
	for i := range sc.Steps {
		step := &sc.Steps[i]
		if testing.Verbose() {
			t.Logf("%v -> %s", step.Words, got[i])
		}
		if !step.Accepts(runtime, got[i]) {
			t.Errorf("%s:%d: %v\n\tgot  %s\n\twant %s", sc.File, step.Line, step.Words, got[i], step.Expected(runtime))
		}
	}
}

// TestScenarioFiles holds the files to their own rules.
func TestScenarioFiles(t *testing.T) {
	all := loadScenarios(t)
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, sc := range all {
		if seen[sc.Name] || !name.MatchString(sc.Name) {
			t.Errorf("%s: the name %q is taken or odd", sc.File, sc.Name)
		}
		seen[sc.Name] = true
		if len(sc.Rows) == 0 || len(sc.Steps) == 0 {
			t.Errorf("%s: %s has no rows or no steps", sc.File, sc.Name)
		}
		for _, row := range sc.Rows {
			if n, err := strconv.Atoi(row); err != nil || n < 1 || n > 200 {
				t.Errorf("%s: %s: there is no row %s", sc.File, sc.Name, row)
			}
		}
		for _, s := range sc.Steps {
			if w := s.Words[0]; steps[w] == nil && w != "async" && w != "await" && w != "blocked" && sc.NotOn[Netstream] == "" {
				t.Errorf("%s:%d: there is no step %s", sc.File, s.Line, w)
			}
			if s.Differs[Netstream] == s.Want {
				t.Errorf("%s:%d: differs from .NET, and does not", sc.File, s.Line)
			}
		}
	}
	if len(all) < 80 {
		t.Errorf("only %d scenarios", len(all))
	}
}

func loadScenarios(t *testing.T) []Scenario {
	t.Helper()
	all, err := Load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// engines are those to test on: all of this system, or the one that NETSTREAM_TEST_ENGINE names.
func engines(t *testing.T) []netstream.Engine {
	t.Helper()
	all := []netstream.Engine{netstream.EngineAuto, netstream.EnginePortable}
	if haveEpoll {
		all = append(all, netstream.EngineEpoll)
	}
	forced := os.Getenv("NETSTREAM_TEST_ENGINE")
	if forced == "" {
		return all
	}
	for _, e := range all {
		if e.String() == forced {
			return []netstream.Engine{e}
		}
	}
	t.Skipf("this system has no engine %q", forced)
	return nil
}
