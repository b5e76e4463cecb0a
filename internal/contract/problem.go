package contract

import (
	"cmp"
	"fmt"
	"slices"
)

// The severities of a Problem.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
)

// Problem is one thing wrong with a contract file.
type Problem struct {
	File     string `json:"file"`
	Line     int    `json:"line"`   // from 1
	Column   int    `json:"column"` // from 1, in characters
	Severity string `json:"severity"`
	Rule     string `json:"rule"` // stable id, for example "odcs.required" or "undrop.unknown"
	Path     string `json:"path"` // for example "schema[0].properties[2].enum"
	Message  string `json:"message"`
}

// String is the line that editors understand: "file:line:col: error: message [rule]".
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s [%s]", p.File, p.Line, p.Column, p.Severity, p.Message, p.Rule)
}

// HasErrors reports whether any problem is an error.
func HasErrors(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == SeverityError })
}

func sortProblems(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Rule, b.Rule))
	})
	return slices.Compact(problems)
}

// report collects problems. What is wrong with the file as a contract goes to
// lint; what only keeps it from being run goes to bind.
type report struct {
	file string
	lint []Problem
	bind []Problem
}

func (r *report) problem(severity string, n *node, rule, path, format string, args ...any) Problem {
	line, col := 1, 1
	if n != nil {
		line, col = n.line, n.col
	}
	return Problem{File: r.file, Line: line, Column: col, Severity: severity, Rule: rule, Path: path, Message: fmt.Sprintf(format, args...)}
}

func (r *report) errorf(n *node, rule, path, format string, args ...any) {
	r.lint = append(r.lint, r.problem(SeverityError, n, rule, path, format, args...))
}

func (r *report) warnf(n *node, rule, path, format string, args ...any) {
	r.lint = append(r.lint, r.problem(SeverityWarning, n, rule, path, format, args...))
}

func (r *report) bindf(n *node, rule, path, format string, args ...any) {
	r.bind = append(r.bind, r.problem(SeverityError, n, rule, path, format, args...))
}
