package contract

import (
	"crypto/sha256"
	"encoding/hex"

	undrop "github.com/undrop/undrop"
)

// Parse reads a contract that is to be run. The contract is nil if any problem
// is an error, be it of the standard or of the binding. file is only a name.
func Parse(file string, data []byte) (*Contract, []Problem) {
	c, problems := Load(file, data)
	if c == nil {
		return nil, problems
	}
	problems = sortProblems(append(problems, c.unrunnable...))
	if HasErrors(problems) {
		return nil, problems
	}
	return c, problems
}

// Load reads a contract that is to be looked at: shown or compared. It may not
// be Runnable; then some types are Invalid. The contract is nil if Lint finds an
// error.
func Load(file string, data []byte) (*Contract, []Problem) {
	r := &report{file: file}
	c := load(r, data)
	problems := sortProblems(r.lint)
	if c == nil || HasErrors(problems) {
		return nil, problems
	}
	c.unrunnable = sortProblems(r.bind)
	return c, problems
}

// Lint judges a contract by the standard: its JSON Schema, its prose where the
// two differ, and whether what is said is consistent. It asks for nothing that
// only the pipeline needs.
func Lint(file string, data []byte) []Problem {
	r := &report{file: file}
	load(r, data)
	return sortProblems(r.lint)
}

func load(r *report, data []byte) *Contract {
	root := readYAML(r, data)
	if root == nil || HasErrors(r.lint) {
		return nil
	}
	validate(r, root)
	prose(r, root)
	if HasErrors(r.lint) {
		return nil
	}
	sum := sha256.Sum256(data)
	c := compile(r, root)
	c.File = r.file
	c.Ref = undrop.ContractRef{ID: c.ID, Version: c.Version, Hash: hex.EncodeToString(sum[:])}
	for _, o := range c.Objects {
		o.Table.Contract = c.Ref
	}
	return c
}
