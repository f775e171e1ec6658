package server_test

import (
	"os"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// shared is the PostgreSQL that the tests of this package share.
var shared = pgtest.Shared{NoSync: true}

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }
