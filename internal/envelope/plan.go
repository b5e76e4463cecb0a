package envelope

import (
	"errors"
	"fmt"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// part names a field of the envelope or of its source block.
type part uint8

const (
	partOther part = iota
	partBefore
	partAfter
	partSource
	partOp
	partMicros
	partLSN
	partSeq
)

// plan reads the records of one writer schema.
type plan struct {
	fields []planField
	source []planField
	before rowPlan
	after  rowPlan
}

// planField is one field of the envelope in written order.
type planField struct {
	part   part
	nullAt int // see step
	typ    *avroType
	run    []*avroType // fields to skip that are often the same from record to record
	memo   []byte      // their bytes in the record before
}

type rowPlan struct {
	steps   []step
	missing []int
}

// compilePlan matches the schema of an envelope with a table.
func compilePlan(id int, text string, t *undrop.Table) (*plan, error) {
	root, err := parseAvro(text)
	if err == nil && root.kind != avroRecord {
		err = fmt.Errorf("it is %s", root)
	}
	if err != nil {
		return nil, &Incompatible{SchemaID: id, Reason: err.Error()}
	}
	p := &plan{}
	r := &resolver{id: id}
	found := map[part]bool{}
	for _, f := range root.fields {
		pf := planField{part: envelopeParts[f.name], nullAt: -1, typ: f.typ}
		found[pf.part] = true
		switch pf.part {
		case partOther:
			if n := len(p.fields); n > 0 && p.fields[n-1].part == partOther {
				p.fields[n-1].run = append(p.fields[n-1].run, f.typ)
				continue
			}
			pf.run = []*avroType{f.typ}
		case partBefore, partAfter:
			var rec *avroType
			if rec, pf.nullAt, err = optional(f.typ, avroRecord); err != nil || pf.nullAt < 0 {
				return nil, &Incompatible{SchemaID: id, Reason: f.name + " is not a record or null"}
			}
			rp := &p.before
			if pf.part == partAfter {
				rp = &p.after
			}
			if rp.steps, rp.missing, err = r.record("", rec, t.Fields); err != nil {
				return nil, err
			}
		case partSource:
			if f.typ.kind != avroRecord {
				return nil, &Incompatible{SchemaID: id, Reason: "source is not a record"}
			}
			if p.source, err = compileSource(f.typ); err != nil {
				return nil, &Incompatible{SchemaID: id, Reason: err.Error()}
			}
		case partOp:
			if f.typ.kind != avroString {
				return nil, &Incompatible{SchemaID: id, Reason: "op is not a string"}
			}
		}
		p.fields = append(p.fields, pf)
	}
	for name, want := range envelopeParts {
		if !found[want] {
			return nil, &Incompatible{SchemaID: id, Reason: "it has no field " + name}
		}
	}
	return p, nil
}

var envelopeParts = map[string]part{"before": partBefore, "after": partAfter, "source": partSource, "op": partOp}
var sourceParts = map[string]part{"ts_us": partMicros, "lsn": partLSN, "seq": partSeq}

// optional finds the wanted type directly or in a union with null.
func optional(t *avroType, want avroKind) (_ *avroType, nullAt int, err error) {
	if t.kind == want {
		return t, -1, nil
	}
	if t.kind == avroUnion && len(t.branches) == 2 {
		for n, b := range t.branches {
			if b.kind == avroNull && t.branches[1-n].kind == want {
				return t.branches[1-n], n, nil
			}
		}
	}
	return nil, 0, errors.New("another type")
}

// compileSource keeps commit time, LSN and sequence of the source block. Without
// them changes have no order, so a schema that lacks one is refused.
func compileSource(t *avroType) ([]planField, error) {
	var fields []planField
	found := map[part]bool{}
	for _, f := range t.fields {
		pf := planField{part: sourceParts[f.name], nullAt: -1, typ: f.typ}
		if pf.part != partOther {
			var err error
			if _, pf.nullAt, err = optional(f.typ, avroLong); err != nil {
				return nil, fmt.Errorf("source.%s is not a long", f.name)
			}
			found[pf.part] = true
			fields = append(fields, pf)
			continue
		}
		steady := f.typ.kind == avroString || f.typ.kind == avroUnion
		if n := len(fields); n > 0 && steady && len(fields[n-1].run) > 0 {
			fields[n-1].run = append(fields[n-1].run, f.typ)
			continue
		}
		if steady {
			pf.run = []*avroType{f.typ}
		}
		fields = append(fields, pf)
	}
	for name, want := range sourceParts {
		if !found[want] {
			return nil, fmt.Errorf("it has no field source.%s", name)
		}
	}
	return fields, nil
}

// run reads one envelope; r says what went wrong.
func (p *plan) run(r *reader, c *change, b *batch.Batch) {
	row := b.Len()
	for i := range p.fields {
		f := &p.fields[i]
		switch f.part {
		case partBefore, partAfter:
			if r.branch() != f.nullAt && r.reason == "" {
				r.image(f, p, c, b, row)
			}
		case partSource:
			p.runSource(r, c)
		case partOp:
			if op := r.bytes(r.length()); len(op) == 1 {
				c.op = undrop.Op(op[0])
			}
		default:
			r.skipSteady(f)
		}
		if r.reason != "" {
			return
		}
	}
	if r.i != len(r.p) {
		r.fail("bytes are left over")
	}
}

// image reads before or after. If both are there the columns end up with after.
func (r *reader) image(f *planField, p *plan, c *change, b *batch.Batch, row int) {
	rp := &p.before
	if f.part == partAfter {
		rp = &p.after
		if c.before {
			truncate(b, row)
		}
		c.after = true
	} else {
		if c.after { // foreign order: after came first and stays
			r.skip(f.typ.branches[1-f.nullAt])
			c.before = true
			return
		}
		c.before = true
	}
	r.row(rp.steps, b.Cols)
	for _, m := range rp.missing {
		b.Cols[m].AppendNull()
	}
}

func (p *plan) runSource(r *reader, c *change) {
	for k := range p.source {
		f := &p.source[k]
		if f.part == partOther {
			if n := len(f.memo); n > 0 && len(r.p)-r.i >= n && string(r.p[r.i:r.i+n]) == string(f.memo) {
				r.i += n
			} else {
				r.skipSteady(f)
			}
			continue
		}
		if f.nullAt >= 0 && r.branch() == f.nullAt {
			continue
		}
		v := r.long()
		switch f.part {
		case partMicros:
			c.at, c.hasAt = v, true
		case partLSN:
			c.lsn, c.hasLSN = v, true
		default:
			c.seq, c.hasSeq = v, true
		}
	}
}

// skipSteady skips fields that nobody asks for. A run of them usually has the bytes
// that it had in the record before, and bytes that were well-formed are so again.
func (r *reader) skipSteady(f *planField) {
	if f.run == nil {
		if f.typ.kind == avroLong {
			r.long()
		} else {
			r.skip(f.typ)
		}
		return
	}
	if n := len(f.memo); n > 0 && len(r.p)-r.i >= n && string(r.p[r.i:r.i+n]) == string(f.memo) {
		r.i += n
		return
	}
	at := r.i
	for _, t := range f.run {
		r.skip(t)
	}
	if r.reason == "" {
		f.memo = append(f.memo[:0], r.p[at:r.i]...)
	}
}
