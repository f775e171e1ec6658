package browser

import "testing"

// TestTheIdleEndIsAnnounced moves the clock of the page, which counts from when it was loaded. The session of the
// server has its own clock and stays.
func TestTheIdleEndIsAnnounced(t *testing.T) {
	w := newWorld(t)

	eachForm(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		w.account(p, "diane")
		p.Open(w.issuer + "/account/security")
		p.Fill("input[name=current]", "half typed")
		p.Run("window.began = Date.now(); window.later = 0; Date.now = () => window.began + window.later")

		p.Run("window.later = 58 * 60 * 1000")
		if Value[bool](p, "!document.getElementById('idle').hidden") {
			t.Error("the end is announced two minutes before it, want one minute")
		}

		p.Run("window.later = 59 * 60 * 1000 + 1000")
		p.Wait("!document.getElementById('idle').hidden")
		p.Click("#idle button")
		p.Wait("document.getElementById('idle').hidden")

		p.Run("window.later += 60 * 60 * 1000")
		p.Wait("!document.querySelector('#idle [data-when=ended]').hidden")

		typed := Value[string](p, "document.querySelector('input[name=current]').value")
		if typed != "half typed" {
			t.Errorf("after the end the field has %q, want what was typed", typed)
		}
		w.clean(p)
	})
}
