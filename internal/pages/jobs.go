package pages

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// jobsPath is the page of the jobs, agents and services that act for the user.
const jobsPath = "/account/jobs"

// jobRoutes returns the routes of the page of jobs and agents.
func (p *Pages) jobRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET " + jobsPath, Handle: p.jobs},
		{Pattern: "POST " + jobsPath, Handle: p.endJobs},
		{Pattern: "POST " + jobsPath + "/{accessor}", Handle: p.endJob},
	}
}

// jobsView is the view of account/jobs.
type jobsView struct {
	Waiting  *Note // requests that wait for the user
	Jobs     jobList
	Agents   jobList
	Services jobList
	Pager    Pager
}

// jobList is the jobs, the agents or the services.
type jobList struct {
	ID           string // of its heading
	Title        Text
	Lead         Text
	Rows         []jobRow
	Kind         token.Kind // of their tokens
	EndAllButton Text
	Empty        Empty
}

// jobRow is a job or an agent: what it may do, and what it has its token from.
type jobRow struct {
	tokenRow
	EndURL    string // of the form that ends it
	StartedBy Text
	Source    string
	Lease     time.Time // when it ends unless it is renewed; zero: it is not renewed
}

// jobs answers GET /account/jobs.
func (p *Pages) jobs(w *web.Reply, r *http.Request) error {
	var list []jeton.Token
	query := url.Values{
		"kind":  {string(token.Leased), string(token.Approved), string(token.Exchanged)},
		"limit": {strconv.Itoa(ownPageSize)},
	}
	shown := r.URL.Query().Get("cursor")
	next, err := p.listOf(w, r, pathWith(ownAPI+"/tokens", query), shown, &list)
	if err != nil {
		return err
	}

	parents, err := p.parents(w, r, list)
	if err != nil {
		return err
	}
	waiting, err := p.ownRequests(w, r)
	if err != nil {
		return err
	}
	services, err := p.ownServices(w, r)
	if err != nil {
		return err
	}

	v := newJobs(list, parents, services, w.Start)
	v.Pager = pagerOf(jobsPath, nil, shown, next, "cursor")
	if len(waiting) > 0 {
		v.Waiting = &Note{
			Text: text("jobs.waiting", int64(len(waiting))),
			Link: &Link{Text: text("jobs.waiting.show"), URL: requestsPath},
		}
	}

	return p.show(w, r, http.StatusOK, "account/jobs", v)
}

// maxParents is how many parents the page looks up that it does not list.
const maxParents = 10

// parents returns the tokens that others derive from, by their accessors. It looks up at most maxParents; those that it
// does not find are left out.
func (p *Pages) parents(w *web.Reply, r *http.Request, list []jeton.Token) (map[string]jeton.Token, error) {
	parents := map[string]jeton.Token{}
	for _, t := range list {
		parents[t.Accessor] = t
	}

	seen := map[string]bool{}
	for _, t := range list {
		_, known := parents[t.Parent]
		if t.Parent == "" || known || seen[t.Parent] || len(seen) == maxParents {
			continue
		}
		seen[t.Parent] = true

		var parent jeton.Token
		err := p.API.Call(w, r, http.MethodGet, ownAPI+"/tokens/"+url.PathEscape(t.Parent), nil, &parent)
		if err != nil && jeton.Outcome(err) == jeton.ErrNotFound {
			continue // it has ended meanwhile, and the job with it
		}
		if err != nil {
			return nil, err
		}
		parents[t.Parent] = parent
	}

	return parents, nil
}

// newJobs returns jobs, agents and services, newest first, as they are shown.
func newJobs(
	list []jeton.Token,
	parents map[string]jeton.Token,
	services []ownService,
	now time.Time,
) jobsView {
	v := jobsView{
		Jobs: jobList{
			ID:           "jobs",
			Title:        text("jobs.running"),
			Lead:         text("jobs.running.lead"),
			Kind:         token.Leased,
			EndAllButton: text("jobs.end-all"),
			Empty:        Empty{Text: text("jobs.none", Code(exampleJob(services)))},
		},
		Agents: jobList{
			ID:           "agents",
			Title:        text("jobs.agents"),
			Lead:         text("jobs.agents.lead"),
			Kind:         token.Approved,
			EndAllButton: text("jobs.end-agents"),
			Empty:        Empty{Text: text("jobs.agents.none", Code("jeton token request"))},
		},
		Services: jobList{
			ID:           "services",
			Title:        text("jobs.services"),
			Lead:         text("jobs.services.lead"),
			Kind:         token.Exchanged,
			EndAllButton: text("jobs.end-services"),
			Empty:        Empty{Text: text("jobs.services.none")},
		},
	}

	for _, t := range list {
		row := newJobRow(t, parents[t.Parent], now)
		switch token.Kind(t.Kind) {
		case token.Leased:
			v.Jobs.Rows = append(v.Jobs.Rows, row)
		case token.Exchanged:
			v.Services.Rows = append(v.Services.Rows, row)
		default:
			v.Agents.Rows = append(v.Agents.Rows, row)
		}
	}

	return v
}

// exampleJob returns a command that would be listed.
func exampleJob(services []ownService) string {
	origin := "https://service.example"
	for _, s := range services {
		if s.URL != "" {
			origin = s.URL
			break
		}
	}

	return "jeton run --for " + origin + " --max-uses 20 -- ./nightly.sh"
}

// newJobRow returns a job or an agent as it is shown. parent is the token that it derives from; zero: it is not known.
func newJobRow(t, parent jeton.Token, now time.Time) jobRow {
	row := jobRow{
		tokenRow:  newTokenRow(t, now),
		EndURL:    jobsPath + "/" + url.PathEscape(t.Accessor),
		StartedBy: startedBy(t, parent),
		Source:    t.Source,
	}

	// Of the tags of tokens, only this one distinguishes rows: the heading shows the kind, and most of them end soon.
	row.Tags = nil
	if row.Uses != nil && row.Uses.Value <= 0 {
		row.Tags = []Tag{{Kind: Bad, Text: text("token.spent")}}
	}

	if t.Kind == string(token.Leased) {
		row.Lease = t.Expires
	}

	return row
}

// startedBy returns what a job or an agent has its token from.
func startedBy(t, parent jeton.Token) Text {
	switch {
	case len(t.Actors) == 1:
		return text("jobs.by.exchange", Strong(t.Actors[0]))
	case len(t.Actors) > 1:
		return text("jobs.by.exchanges", Strong(t.Actors[0]), strings.Join(t.Actors[1:], ", "))
	case t.Kind != string(token.Leased):
		return text("jobs.by.request")
	case t.Parent == "":
		return text("jobs.by.session")
	case parent.Name != "":
		return text("jobs.by.token", Strong(parent.Name))
	case parent.Kind == string(token.Access):
		return text("jobs.by.application")
	}

	return text("jobs.by.other")
}

// endJob answers POST /account/jobs/{accessor}: it revokes the token of one job and of its child jobs.
func (p *Pages) endJob(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	err := p.API.Call(w, r, http.MethodDelete, tokenAPI(r, ""), nil, nil)
	// It has ended meanwhile, which is what was wanted.
	if err != nil && jeton.Outcome(err) != jeton.ErrNotFound {
		return err
	}

	return see(w, jobsPath+"?done=job-ended")
}

// endJobs answers POST /account/jobs: it revokes the tokens of all jobs, of all agents, or of all services.
func (p *Pages) endJobs(w *web.Reply, r *http.Request) error {
	form, err := accountForm(w, r)
	if err != nil {
		return err
	}

	done := "jobs-ended"
	kind := token.Kind(form.Get("kind"))
	switch kind {
	case token.Leased:
	case token.Approved:
		done = "agents-ended"
	case token.Exchanged:
		done = "services-ended"
	default:
		return jeton.WithDetail(jeton.ErrInvalid, "invalid kind: want leased, approved or exchanged")
	}

	query := url.Values{"kind": {string(kind)}}
	if err := p.API.Call(w, r, http.MethodDelete, pathWith(ownAPI+"/tokens", query), nil, nil); err != nil {
		return err
	}

	return see(w, jobsPath+"?done="+done)
}
