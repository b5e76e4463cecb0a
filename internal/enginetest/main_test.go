package enginetest_test

import (
	"testing"

	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }
