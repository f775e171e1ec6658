//go:build !walletonly

package main

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

const (
	earlier = `# HELP jeton_requests_total Requests.
jeton_requests_total{outcome="ok",service="shop"} 100
jeton_requests_total{outcome="spent",service="shop"} 10
jeton_uses_total 40
jeton_hasher_passwords_total 1
jeton_hasher_wait_seconds_total 1
jeton_hasher_work_seconds_total 1
jeton_database_end_seconds_sum 1
jeton_database_end_seconds_count 4
`
	later = `jeton_build_info{version="v1"} 1
jeton_requests_total{outcome="ok",service="shop"} 140
jeton_requests_total{outcome="spent",service="shop"} 14
jeton_requests_total{outcome="forbidden",service="other"} 2
jeton_uses_total 60
jeton_hasher_waiting 3
jeton_hasher_passwords_total 3
jeton_hasher_wait_seconds_total 2
jeton_hasher_work_seconds_total 4
jeton_hasher_queue_max 128
jeton_database_up 0
jeton_database_end_seconds_sum 1.5
jeton_database_end_seconds_count 6
jeton_database_heard_age_seconds 0.25
jeton_connections{listen="a"} 2
jeton_connections{listen="b"} 3
process_resident_memory_bytes 2.5e+07
`
)

func TestTheLoadOfANode(t *testing.T) {
	refused := errors.New("connection refused")
	for _, tc := range []struct {
		name   string
		before scraped
		now    scraped
		want   nodeLoad
	}{
		{
			"of two scrapes two seconds apart", scraped{list: samples(earlier)}, scraped{list: samples(later)},
			nodeLoad{
				URL:         "u",
				Version:     "v1",
				Requests:    23,
				Uses:        10,
				Refusals:    map[string]float64{"spent": 2, "forbidden": 1},
				Hashing:     3,
				HashingMax:  128,
				Password:    2,
				Revocation:  0.25,
				Staleness:   0.25,
				Database:    "down",
				Connections: 5,
				Memory:      2.5e7,
			},
		},
		{
			"that was started again meanwhile",
			scraped{list: samples("jeton_uses_total 1000\n")},
			scraped{list: samples("jeton_uses_total 30\n")},
			nodeLoad{
				URL:      "u",
				Uses:     15,
				Refusals: map[string]float64{},
				Database: "up",
			},
		},
		{
			"that does not answer", scraped{list: samples(earlier)}, scraped{err: refused},
			nodeLoad{URL: "u", Error: "connection refused", Refusals: map[string]float64{}},
		},
		{
			"that did not answer before", scraped{err: refused}, scraped{list: samples(earlier)},
			nodeLoad{URL: "u", Refusals: map[string]float64{}, Database: "up"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.now.url = "u"
			got := loads([]scraped{tc.before}, []scraped{tc.now}, 2*time.Second)
			if len(got) != 1 || !reflect.DeepEqual(got[0], tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}
