package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	undrop "github.com/undrop/undrop"
)

// problem is one thing that is wrong in a file.
type problem struct {
	line int    // 0: the file as a whole
	key  string // dotted path, "" for the file as a whole
	text string
	hint string
}

// problems become one error that names them all, in the order of the file.
type problems struct {
	file string
	list []problem
}

func (p *problems) add(line int, key, hint, format string, args ...any) {
	p.list = append(p.list, problem{line, key, fmt.Sprintf(format, args...), hint})
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	var lines, hints []string
	for _, one := range p.list {
		text := p.file
		if one.line > 0 {
			text += fmt.Sprintf(":%d", one.line)
		}
		if one.key != "" {
			text += ": " + one.key
		}
		lines = append(lines, text+": "+one.text)
		if one.hint != "" && !slices.Contains(hints, one.hint) {
			hints = append(hints, one.hint)
		}
	}
	text := lines[0]
	if len(lines) > 1 {
		text = fmt.Sprintf("%d problems\n  %s", len(lines), strings.Join(lines, "\n  "))
	}
	if len(hints) == 0 {
		hints = []string{"correct " + p.file + " and run the command again"}
	}
	return &undrop.Error{Code: undrop.BadInput, Op: "read the configuration", Err: errors.New(text), Hint: strings.Join(hints, "\n")}
}
