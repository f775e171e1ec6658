package audit_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/jeton-auth/jeton/internal/audit"
)

// TestActionsHasEveryAction keeps the list complete: a filter for an action that is not in it is refused.
func TestActionsHasEveryAction(t *testing.T) {
	source, err := os.ReadFile("actions.go")
	if err != nil {
		t.Fatal(err)
	}

	declared := regexp.MustCompile(`(?m)^\t[A-Z]\w* += "([a-z.-]+)"$`).FindAllSubmatch(source, -1)
	if len(declared) < 60 {
		t.Fatalf("found %d actions in actions.go, want 60 or more", len(declared))
	}

	for _, action := range declared {
		if !slices.Contains(audit.Actions, string(action[1])) {
			t.Errorf("Actions lacks %q, want every action", action[1])
		}
	}
}
