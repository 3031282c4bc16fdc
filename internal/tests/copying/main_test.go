package copying_test

import (
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func TestMain(m *testing.M) { kit.Main(m) }
