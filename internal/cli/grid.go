package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	undrop "github.com/undrop/undrop"
)

// grid is an answer in columns. A column whose cells are all numbers is set to
// the right; two spaces stand between columns.
type grid struct{ rows [][]string }

func newGrid(header ...string) *grid { return &grid{rows: [][]string{header}} }

// add appends a row. Cells may come from a source: what a terminal would take as
// a command is shown, not sent.
func (g *grid) add(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
	}
	g.rows = append(g.rows, cells)
}

func (g *grid) write(w io.Writer) error {
	widths, right := make([]int, len(g.rows[0])), make([]bool, len(g.rows[0]))
	for i := range widths {
		right[i] = len(g.rows) > 1
		for r, row := range g.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
			right[i] = right[i] && (r == 0 || numeric(row[i]))
		}
	}
	var out strings.Builder
	for _, row := range g.rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				line.WriteString("  ")
			}
			if right[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// none stands for what is not known, or not there.
const none = "-"

func numeric(s string) bool {
	if s == none {
		return true
	}
	for i, r := range s {
		if !(r >= '0' && r <= '9' || r == ',' || r == '.' || r == '-' && i == 0) {
			return false
		}
	}
	return s != ""
}

func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// count groups digits: 1,234,567.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func countOrNone(n *int64) string {
	if n == nil {
		return none
	}
	return count(*n)
}

func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, u := float64(n)/1024, 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[u])
}

func lsnOrNone(l undrop.LSN) string {
	if l == 0 {
		return none
	}
	return l.String()
}

func timeOrNone(t time.Time) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(time.RFC3339)
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}
