package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"
)

// Progress is one line at the bottom of a terminal that is redrawn in place. It
// is also the writer for everything else on standard error, so that a log line
// never lands in the middle of it. Where standard error is not a terminal the
// line is never shown. Safe for concurrent use.
type Progress struct {
	mu    sync.Mutex
	w     io.Writer
	width func() int // columns of the terminal; nil: not a terminal
	line  string     // what is on the screen now
}

func newProgress(w io.Writer) *Progress {
	p := &Progress{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.width = func() int {
			cols, _, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 80
			}
			return cols
		}
	}
	return p
}

// Shown reports whether anybody can see the line.
func (p *Progress) Shown() bool { return p.width != nil }

// Set replaces the line; it is cut to the width of the terminal.
func (p *Progress) Set(format string, args ...any) {
	if p.width == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = cut(fmt.Sprintf(format, args...), p.width()-1)
	_ = p.draw(nil) // a terminal that is gone sees nothing anyway
}

// Done removes the line.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line != "" {
		p.line = ""
		_ = p.draw(nil)
	}
}

// Write writes whole lines above the progress line.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line == "" {
		return p.w.Write(b)
	}
	if err := p.draw(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// draw clears the line, writes above and draws the line again, in one write.
func (p *Progress) draw(above []byte) error {
	out := append([]byte("\r\x1b[K"), above...)
	_, err := p.w.Write(append(out, p.line...))
	return err
}

func cut(s string, width int) string {
	if width < 1 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
