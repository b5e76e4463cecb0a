package enginetest_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
)

// longEnv names a variable that, set to 1, runs every combination.
const longEnv = "UNDROP_LONG"

// lanes are both lanes of a snapshot where there is time, else the given one.
func lanes(one string) []string {
	if os.Getenv(longEnv) == "1" {
		return []string{"direct", "log"}
	}
	return []string{one}
}

// surface asks the commands about the strange database, after its changes.
func (i *installation) surface() {
	i.t.Helper()
	answer, _ := i.run(0, "status", "--json")
	var s app.StatusAnswer
	decode(i.t, answer, &s)
	if len(s.Tables) != len(i.init.Contracts) || len(s.Gaps) != 0 {
		i.t.Errorf("status has %d tables of %d and %d gaps", len(s.Tables), len(i.init.Contracts), len(s.Gaps))
	}
	for _, info := range s.Tables {
		if info.State != "live" || info.Source == nil || !info.Source.Complete || info.Source.LSN != s.Tables[0].Source.LSN {
			i.t.Errorf("%s is %s at %+v: every table of a source is at one cut", info.Name, info.State, info.Source)
		}
	}
	for _, c := range []struct{ table, where, want string }{
		{"public.numbers", "k = 1", `"i8":"9223372036854775807"`},
		{"public.numbers", "d < 0 and k < 100", `"d":"-9999999999.99"`},
		{"public.text_key", "id = ''", `"id":""`},
		{"public.text_key", "id = '👍'", `"v":-7`},
		{"public.texts", "t = 'null'", `"k":5`},
		{"public.composite_key", "a = 'a1' and d = 1.5", `"v":"moved"`},
		{"public.bool_key", "id = false and d = '2024-01-02'", `"id":false`},
		{"public.times", "ts >= '9999-12-31 23:59:59.999999'", `"k":2`},
	} {
		rows := i.rows(c.table, c.where)
		if !slices.ContainsFunc(rows, func(r json.RawMessage) bool { return strings.Contains(compact(r), c.want) }) {
			i.t.Errorf("table rows %s --where %q answers %s, want one with %s", c.table, c.where, rows, c.want)
		}
	}
	for table, key := range map[string]string{"public.composite_key": "d b a c e", "public.by_index": "a b", "public.no_key": ""} {
		answer, _ := i.run(0, "table", "show", table, "--json")
		var d app.TableDetail
		decode(i.t, answer, &d)
		have, want := slices.Clone(d.Key), strings.Fields(key)
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) || (d.Mode == undrop.History) != (key == "") {
			i.t.Errorf("%s: key %q, mode %s", table, d.Key, d.Mode)
		}
	}
	i.run(2, "table", "show", "public.nowhere")
	i.accounts()
	i.noGaps()
}

// compact takes the blanks out that lie outside of strings, well enough for a
// search.
func compact(r []byte) string {
	return strings.NewReplacer("\n", "", "\": ", "\":", "  ", "").Replace(string(r))
}
