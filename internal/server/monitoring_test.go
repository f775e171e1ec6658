package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// monitoring is where the files for Prometheus and Grafana are.
const monitoring = "../../packaging/monitoring"

// panel is a graph of the dashboard. Its description is the help of the first metric that it names.
type panel struct{ title, unit, legend, expr string }

// panels are the graphs, in reading order.
var panels = []panel{
	{"Requests per second", "reqps", "{{outcome}}", `sum by (outcome) (rate(jeton_requests_total[5m]))`},
	{
		"Refusals per second, by service and reason", "reqps", "{{service}} {{outcome}}",
		`sum by (service, outcome) (rate(jeton_requests_total{outcome!="ok"}[5m]))`,
	},
	{
		"Duration of requests, 99th percentile", "s", "{{service}}",
		`histogram_quantile(0.99, sum by (service, le) (rate(jeton_request_duration_seconds_bucket[5m])))`,
	},
	{"Uses per second", "ops", "{{instance}}", `sum by (instance) (rate(jeton_uses_total[5m]))`},
	{
		"Until a revocation holds on all nodes, 99th percentile", "s", "{{instance}}",
		`histogram_quantile(0.99, sum by (instance, le) (rate(jeton_database_end_seconds_bucket[5m])))`,
	},
	{"Passwords waiting for the hasher", "short", "{{instance}}", `jeton_hasher_waiting`},
	{
		"Time that a password waits for the hasher, mean", "s", "{{instance}}",
		`rate(jeton_hasher_wait_seconds_total[5m]) / rate(jeton_hasher_passwords_total[5m])`,
	},
	{
		"Time in which a password is checked, mean", "s", "{{instance}}",
		`rate(jeton_hasher_work_seconds_total[5m]) / rate(jeton_hasher_passwords_total[5m])`,
	},
	{"Age of what a node decides by", "s", "{{instance}}", `jeton_database_heard_age_seconds`},
	{"Database connections", "short", "{{instance}} {{state}}", `jeton_database_connections`},
	{"Waits for a database connection", "ops", "{{instance}}", `rate(jeton_database_connection_waits_total[5m])`},
	{"Open connections", "short", "{{instance}}", `jeton_connections`},
	{"Connections closed over limits", "ops", "{{instance}}", `rate(jeton_connections_refused_total[5m])`},
	{"Servers behind services", "short", "{{service}} {{upstream}}", `jeton_upstream_up`},
	{"Audit log", "bytes", "{{instance}}", `jeton_audit_bytes`},
	{"Refusals without an audit event of their own", "ops", "{{instance}}", `rate(jeton_audit_summed_total[5m])`},
	{"Spans of requests that were dropped", "ops", "{{instance}}", `rate(jeton_spans_dropped_total[5m])`},
	{"Mails that wait", "short", "{{instance}}", `max(jeton_mail_queue)`},
	{"Mails by outcome", "ops", "{{outcome}}", `sum by (outcome) (rate(jeton_mails_total[5m]))`},
	{
		"Logout tokens for relying parties", "ops", "{{outcome}}",
		`sum by (outcome) (rate(jeton_backchannel_logouts_total[5m]))`,
	},
	{
		"Certificates: time left", "s", "{{instance}}",
		`min by (instance) (jeton_certificate_expiry_timestamp_seconds) - time()`,
	},
	{"Memory", "bytes", "{{instance}}", `process_resident_memory_bytes{job="jeton"}`},
	{"CPU", "percentunit", "{{instance}}", `rate(process_cpu_seconds_total{job="jeton"}[5m])`},
	{"Versions", "short", "{{version}}", `count by (version) (jeton_build_info)`},
}

// metricName is a metric of ours, or of its process.
var metricName = regexp.MustCompile(`\b(?:jeton|process)_[a-z_]+`)

// place returns where the graph number i is: three are in a row.
func place(i int) map[string]int {
	return map[string]int{
		"x": i % 3 * 8,
		"y": i / 3 * 8,
		"w": 8,
		"h": 8,
	}
}

// dashboard returns the dashboard of Grafana. help has the text of each metric.
func dashboard(t *testing.T, help map[string]string) []byte {
	t.Helper()
	source := map[string]string{"type": "prometheus", "uid": "${source}"}

	var list []any
	for i, p := range panels {
		list = append(list, map[string]any{
			"id":          i + 1,
			"type":        "timeseries",
			"title":       p.title,
			"description": help[strings.TrimSuffix(metricName.FindString(p.expr), "_bucket")],
			"datasource":  source,
			"gridPos":     place(i),
			"fieldConfig": map[string]any{"defaults": map[string]any{"unit": p.unit}, "overrides": []any{}},
			"targets": []any{map[string]any{
				"refId":        "A",
				"datasource":   source,
				"expr":         p.expr,
				"legendFormat": p.legend,
			}},
		})
	}

	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	err := e.Encode(map[string]any{
		"uid":           "jeton",
		"title":         "Jeton",
		"schemaVersion": 39,
		"refresh":       "1m",
		"time":          map[string]string{"from": "now-6h", "to": "now"},
		"panels":        list,
		"templating": map[string]any{"list": []any{map[string]string{
			"name":  "source",
			"type":  "datasource",
			"query": "prometheus",
			"label": "Prometheus",
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

// TestEveryMetricOfTheDashboardAndTheAlertsExists scrapes a server that has all of them, and makes the dashboard from
// what the metrics say of themselves.
func TestEveryMetricOfTheDashboardAndTheAlertsExists(t *testing.T) {
	conf := fmt.Sprintf("database: '%s'\n", shared.Database(t)) + shop(
		"      - {match: GET /app, open: true, upstream: {urls: ['http://127.0.0.1:1', 'http://127.0.0.1:2']}}\n",
	)
	s := jetontest.Start(t, conf)
	s.Ask("GET", "shop", "/open")

	scraped := s.Send(http.DefaultClient, "GET", s.Admin()+"/metrics", "").Body
	help := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# HELP (\S+) (.*)$`).FindAllStringSubmatch(scraped, -1) {
		help[m[1]] = m[2]
	}

	made := dashboard(t, help)
	path := filepath.Join(monitoring, "dashboard.json")
	if *update {
		if err := os.WriteFile(path, made, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, made) {
		t.Errorf("dashboard.json is not what the metrics make (%v); rewrite it with -update", err)
	}
	alerts, err := os.ReadFile(filepath.Join(monitoring, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}

	text := string(alerts)
	for _, p := range panels {
		text += p.expr + "\n"
	}
	used := map[string]bool{}
	for _, name := range metricName.FindAllString(text, -1) {
		used[strings.TrimSuffix(name, "_bucket")] = true
	}
	for name := range used {
		if help[name] == "" {
			t.Errorf("%s is not among the metrics of a server", name)
		}
	}

	// A metric that is in no graph and no alert is no use.
	for name := range help {
		if strings.HasPrefix(name, "jeton_") && !used[name] {
			t.Errorf("%s is neither in an alert nor in the dashboard; add it to panels", name)
		}
	}
}

func TestEveryAlertFires(t *testing.T) {
	promtool := need.Program(t, "promtool")
	run := func(args ...string) {
		t.Helper()
		c := exec.Command(promtool, args...)
		c.Dir = monitoring
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}

	run("check", "rules", "alerts.yaml")
	run("test", "rules", "alerts_test.yaml")

	alerts, err := os.ReadFile(filepath.Join(monitoring, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	series, err := os.ReadFile(filepath.Join(monitoring, "alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/guide/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}

	names := regexp.MustCompile(`alert: (\w+)`).FindAllSubmatch(alerts, -1)
	if len(names) < 10 {
		t.Fatalf("%d alerts, want 10 or more", len(names))
	}
	for _, m := range names {
		if !bytes.Contains(series, fmt.Appendf(nil, `alertname="%s"`, m[1])) {
			t.Errorf("no series lets %s fire", m[1])
		}
		if !bytes.Contains(guide, fmt.Appendf(nil, "| `%s` |", m[1])) {
			t.Errorf("the guide does not say what to do about %s", m[1])
		}
	}

	// Each expression of the dashboard as a rule.
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	for i, p := range panels {
		fmt.Fprintf(&rules, "      - {record: 'panel:%d', expr: '%s'}\n", i, p.expr)
	}

	path := filepath.Join(t.TempDir(), "panels.yaml")
	if err := os.WriteFile(path, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run("check", "rules", path)
}
