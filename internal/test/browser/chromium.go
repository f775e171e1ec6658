package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// chromium is the process that the tests share. Its context is the browser.
type chromium struct {
	once sync.Once
	ctx  context.Context
	end  context.CancelFunc
	err  error
}

// start starts the process with the first test that needs it.
func (c *chromium) start(program, pin string) error {
	c.once.Do(func() {
		c.ctx, c.end = chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(
			chromedp.ExecPath(program),
			// CI runs as root, where Chromium has no sandbox. It shows only our own pages.
			chromedp.NoSandbox,
			// Only the key of the tests is trusted, and everything else as always.
			chromedp.Flag("ignore-certificate-errors-spki-list", pin),
			chromedp.Flag("host-resolver-rules", "MAP *.example 127.0.0.1, MAP *.test 127.0.0.1"),
			chromedp.Flag("disable-component-update", true),
			// Third parties get no cookies, as users may choose.
			chromedp.Flag("test-third-party-cookie-phaseout", true),
		))
		c.err = chromedp.Do(c.ctx)
	})

	return c.err
}

// stop ends the process if there is one.
func (c *chromium) stop() error {
	if c.ctx == nil {
		return nil
	}

	err := chromedp.Cancel(c.ctx)
	c.end()

	return err
}

// Chromium returns a tab of Chromium in a new browser context, which ends with the test.
func Chromium(t testing.TB) *Page {
	t.Helper()
	program := need.Program(t, "chromium")

	err := shared.chromium.start(program, Certificate(t).pin)
	if err != nil {
		t.Fatalf("start chromium: %v", err)
	}

	return openTab(t, shared.chromium.ctx, chromedp.WithNewBrowserContext())
}

// Another returns another tab with the cookies of this one. Only Chromium has it.
func (p *Page) Another() *Page {
	p.t.Helper()
	return openTab(p.t, p.chromium("Another").ctx)
}

// chromium returns the tab for what only Chromium has.
func (p *Page) chromium(method string) *chromiumTab {
	p.t.Helper()
	c, ok := p.tab.(*chromiumTab)
	if !ok {
		p.t.Fatalf("%s has no %s, want chromium", p.browser, method)
	}

	return c
}

func openTab(t testing.TB, parent context.Context, options ...chromedp.ContextOption) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(cancel)

	tab := &chromiumTab{ctx: ctx}
	err := errors.Join(
		chromedp.Do(ctx),
		chromedp.Listen(ctx, tab.listen),
		command(ctx, ctx, network.Enable, network.EnableParams{}),
		command(ctx, ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: watcher,
		}),
	)
	if err != nil {
		t.Fatalf("open a tab of chromium: %v", err)
	}

	return &Page{
		t:       t,
		tab:     tab,
		browser: "chromium",
	}
}

// chromiumTab implements tab with the DevTools protocol.
type chromiumTab struct {
	ctx context.Context // of the tab

	mu   sync.Mutex
	seen []notice
}

// command sends a command to the tab and waits for its result no longer than limit.
func command[P, R any](limit, tab context.Context, c cdp.Command[P, R], params P) error {
	_, err := ask(limit, tab, c, params)
	return err
}

func ask[P, R any](limit, tab context.Context, c cdp.Command[P, R], params P) (R, error) {
	return cdp.Call(limit, chromedp.FromContext(tab).Target, c, params)
}

func (c *chromiumTab) listen(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()

	switch event := event.(type) {
	case *network.EventRequestWillBeSent:
		c.seen = append(c.seen, notice{"request", event.Request.URL})
	case *network.EventLoadingFailed:
		c.seen = append(c.seen, notice{"failure", event.ErrorText})
	case *runtime.EventExceptionThrown:
		c.seen = append(c.seen, notice{"error", exception(event.ExceptionDetails)})
	case *runtime.EventConsoleAPICalled:
		if len(event.Args) == 0 {
			return
		}

		var text string
		err := json.Unmarshal(event.Args[0].Value, &text)
		violation, found := strings.CutPrefix(text, marker)
		if err == nil && found {
			c.seen = append(c.seen, notice{"violation", violation})
		}
	}
}

func (c *chromiumTab) notices() []notice {
	c.mu.Lock()
	defer c.mu.Unlock()

	return append([]notice(nil), c.seen...)
}

func (c *chromiumTab) open(ctx context.Context, address string) error {
	// The library waits for the page with the context of the tab, which is not limited.
	done := make(chan error, 1)
	go func() { done <- chromedp.Do(c.ctx, chromedp.Navigate(address)) }()

	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *chromiumTab) evaluate(ctx context.Context, script string) (json.RawMessage, error) {
	got, err := ask(ctx, c.ctx, runtime.Evaluate, runtime.EvaluateParams{
		Expression:    script,
		AwaitPromise:  new(true),
		ReturnByValue: new(true),
	})
	if err != nil {
		return nil, err
	}

	if got.ExceptionDetails != nil {
		return nil, errors.New(exception(got.ExceptionDetails))
	}
	if got.Result.Value == nil {
		return json.RawMessage("null"), nil
	}

	return json.RawMessage(got.Result.Value), nil
}

// exception returns the text of an uncaught error.
func exception(details *runtime.ExceptionDetails) string {
	if details.Exception == nil || details.Exception.Description == "" {
		return details.Text
	}

	return details.Exception.Description
}

func (c *chromiumTab) click(ctx context.Context, x, y float64) error {
	for _, kind := range []input.DispatchMouseEventType{chromedp.MousePressed, chromedp.MouseReleased} {
		err := command(ctx, c.ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{
			Type:       kind,
			X:          x,
			Y:          y,
			Button:     input.MouseButtonLeft,
			ClickCount: 1,
		})
		if err != nil {
			return err
		}
	}

	return nil
}

func (c *chromiumTab) insert(ctx context.Context, text string) error {
	return command(ctx, c.ctx, input.InsertText, input.InsertTextParams{Text: text})
}

func (c *chromiumTab) press(ctx context.Context, key string) error {
	named := map[string]string{
		"Enter":  kb.Enter,
		"Tab":    kb.Tab,
		"Escape": kb.Escape,
		"Space":  " ",
	}
	text, ok := named[key]
	if !ok {
		return fmt.Errorf("unknown key %s", key)
	}

	for _, event := range kb.Encode([]rune(text)[0]) {
		err := command(ctx, c.ctx, input.DispatchKeyEvent, *event)
		if err != nil {
			return err
		}
	}

	return nil
}

func (c *chromiumTab) resize(ctx context.Context, width, height int) error {
	return command(ctx, c.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width:             int64(width),
		Height:            int64(height),
		DeviceScaleFactor: 1,
	})
}

func (c *chromiumTab) colors(ctx context.Context, scheme string) error {
	return command(ctx, c.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

func (c *chromiumTab) picture(ctx context.Context) ([]byte, error) {
	got, err := ask(ctx, c.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: new(true),
	})

	return got.Data, err
}

// Failures returns the errors of requests that got no response, or one that was not used. Only Chromium
// has them.
func (p *Page) Failures() []string {
	p.t.Helper()
	p.chromium("Failures")

	return p.seen("failure")
}

// HTML returns the markup of the page as the server sent it. Only Chromium has it.
func (p *Page) HTML() string {
	p.t.Helper()
	c := p.chromium("HTML")

	var markup string
	p.do("read the markup", func(ctx context.Context) error {
		tree, err := ask(ctx, c.ctx, page.GetFrameTree, cdp.Empty{})
		if err != nil {
			return err
		}

		// The loader of a document has the id of its request.
		got, err := ask(ctx, c.ctx, network.GetResponseBody, network.GetResponseBodyParams{
			RequestID: network.RequestID(tree.FrameTree.Frame.LoaderID),
		})
		markup = string(got.Body)

		return err
	})

	return markup
}

// NoScript switches the scripts of pages off. Only Chromium has it.
func (p *Page) NoScript() {
	p.t.Helper()
	c := p.chromium("NoScript")

	p.do("switch scripts off", func(ctx context.Context) error {
		return command(ctx, c.ctx, emulation.SetScriptExecutionDisabled,
			emulation.SetScriptExecutionDisabledParams{Value: true})
	})
}
