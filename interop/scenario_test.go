package interop

import (
	"os"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// TestScenarios runs every scenario on every engine.
func TestScenarios(t *testing.T) {
	all, err := Load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range engines() {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			for i := range all {
				sc := &all[i]
				t.Run(sc.Name, func(t *testing.T) {
					if why, ok := sc.NotOn[Netstream]; ok {
						t.Skip("not here: " + why)
					}
					t.Parallel()
					compare(t, Netstream, sc, Run(sc, engine))
				})
			}
		})
	}
}

// compare holds what the steps printed to what the scenario says.
func compare(t *testing.T, runtime string, sc *Scenario, got []string) {
	t.Helper()
	for i := range sc.Steps {
		step := &sc.Steps[i]
		if !step.Accepts(runtime, got[i]) {
			t.Errorf("%s:%d: %v\n\tgot  %s\n\twant %s", sc.File, step.Line, step.Words, got[i], step.Expected(runtime))
		}
	}
}

// engines are those to test on: all of this system, or the one that NETSTREAM_TEST_ENGINE names.
func engines() []netstream.Engine {
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
	return nil
}
