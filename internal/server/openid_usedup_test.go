package server_test

import "testing"

// TestARefusedAttemptUsesACodeUp keeps a code from being tried with one verifier after another.
func TestARefusedAttemptUsesACodeUp(t *testing.T) {
	s := startRelying(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	for _, tc := range []struct {
		name    string
		changes []string
	}{
		{"another client", []string{"client_id", "old"}},
		{"another address", []string{"redirect_uri", wikiDone + "?app=1"}},
		{"another verifier", []string{"code_verifier", verifier + "x"}},
		{"another resource", []string{"resource", "https://other.example"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code := b.codeFor(wikiAsks(s))
			if got := redeem(t, s, code, tc.changes...); got.Status != 400 {
				t.Fatalf("the attempt: got %d %q, want 400", got.Status, got.Error)
			}
			if got := redeem(t, s, code); got.Error != "invalid_grant" {
				t.Errorf("the code after it: got %d %q, want invalid_grant", got.Status, got.Error)
			}
		})
	}
}
