package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// Firefox returns a tab of Firefox in a new browser context, which ends with the test.
func Firefox(t testing.TB) *Page {
	t.Helper()
	program := need.Program(t, "firefox-esr", "firefox")
	n := startNode(t)

	n.mu.Lock()
	tab := &firefoxTab{node: n, id: len(n.tabs) + 1}
	n.tabs[tab.id] = tab
	n.mu.Unlock()

	p := &Page{
		t:       t,
		tab:     tab,
		browser: "firefox",
	}
	p.do("open a tab", func(ctx context.Context) error {
		_, err := n.call(ctx, 0, "await open(...args)", tab.id, program, watcher, marker)
		return err
	})

	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()

		err := tab.call(ctx, "await page.browserContext().close()")
		if err != nil {
			t.Errorf("close a tab of firefox: %v", err)
		}
	})

	return p
}

// firefoxTab implements tab with WebDriver BiDi, by puppeteer.
type firefoxTab struct {
	node *node
	id   int

	seen []notice // guarded by node.mu
}

func (f *firefoxTab) call(ctx context.Context, body string, args ...any) error {
	_, err := f.node.call(ctx, f.id, body, args...)
	return err
}

func (f *firefoxTab) notices() []notice {
	f.node.mu.Lock()
	defer f.node.mu.Unlock()

	return append([]notice(nil), f.seen...)
}

func (f *firefoxTab) open(ctx context.Context, address string) error {
	return f.call(ctx, "await load(page, args[0])", address)
}

func (f *firefoxTab) evaluate(ctx context.Context, script string) (json.RawMessage, error) {
	return f.node.call(ctx, f.id, "return await page.evaluate(args[0])", script)
}

func (f *firefoxTab) click(ctx context.Context, x, y float64) error {
	return f.call(ctx, "await page.mouse.click(...args)", x, y)
}

func (f *firefoxTab) insert(ctx context.Context, text string) error {
	return f.call(ctx, "await page.keyboard.type(args[0])", text)
}

func (f *firefoxTab) press(ctx context.Context, key string) error {
	return f.call(ctx, "await page.keyboard.press(args[0])", key)
}

func (f *firefoxTab) resize(ctx context.Context, width, height int) error {
	return f.call(ctx, "await page.setViewport({width: args[0], height: args[1]})", width, height)
}

func (f *firefoxTab) colors(_ context.Context, scheme string) error {
	return fmt.Errorf("no %s colours: puppeteer does not emulate media features over BiDi; all is dark", scheme)
}

func (f *firefoxTab) picture(ctx context.Context) ([]byte, error) {
	text, err := f.node.call(ctx, f.id, "return await page.screenshot({encoding: 'base64', fullPage: true})")
	if err != nil {
		return nil, err
	}

	var picture []byte
	err = json.Unmarshal(text, &picture)

	return picture, err
}
