package lake

import (
	"fmt"
	"math"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// shredder turns rows of a nested column into one run of values per leaf, with
// the definition and repetition levels of the Dremel paper.
type shredder struct {
	leaves []leaf   // of the whole layout
	runs   []values // by leaf number
}

// take reads the rows of a nested column into the runs of its leaves.
func (sh *shredder) take(s *shape, c *batch.Column, sel selection) error {
	for i := s.leaf; i < s.leaf+s.leaves; i++ {
		sh.runs[i].begin()
	}
	for n := range sel.n {
		row := sel.from + n
		if sel.rows != nil {
			row = int(sel.rows[n])
		}
		if err := sh.value(s, c, row, 0, 0); err != nil {
			return err
		}
	}
	for i := s.leaf; i < s.leaf+s.leaves; i++ {
		v := &sh.runs[i]
		if err := v.finish(&sh.leaves[i]); err != nil {
			return err
		}
	}
	return nil
}

// value adds row i of c to every leaf of s. def is the level of what is around
// it, rep says where the value begins: 0 a new row, higher a further item.
func (sh *shredder) value(s *shape, c *batch.Column, i int, def, rep int16) error {
	if c.Null[i] {
		if s.required {
			return fmt.Errorf("%s: %w", s.name, errNull)
		}
		sh.missing(s, def, rep)
		return nil
	}
	if !s.required {
		def++
	}
	switch s.typ.Kind {
	case undrop.Struct:
		for m := range s.children {
			if err := sh.value(&s.children[m], &c.Fields[m], i, def, rep); err != nil {
				return err
			}
		}
	case undrop.List, undrop.Map:
		from, to := int(c.Off[i]), int(c.Off[i+1])
		if from == to {
			sh.missing(s, def, rep)
			return nil
		}
		for j := from; j < to; j++ {
			if j > from {
				rep = s.rep
			}
			if c.Key != nil {
				if err := sh.value(&s.children[0], c.Key, j, def+1, rep); err != nil {
					return err
				}
			}
			if err := sh.value(&s.children[len(s.children)-1], c.Elem, j, def+1, rep); err != nil {
				return err
			}
		}
	default:
		v := &sh.runs[s.leaf]
		v.level(def, rep)
		if c.Type.Fixed() {
			v.i64Buf = append(v.i64Buf, c.Ints[i])
			return nil
		}
		v.dataBuf = append(v.dataBuf, c.Bytes(i)...)
		if len(v.dataBuf) > math.MaxInt32 {
			return fmt.Errorf("%s: values of more than 2 GiB in a row of values", s.name)
		}
		v.offBuf = append(v.offBuf, int32(len(v.dataBuf)))
	}
	return nil
}

// missing notes on every leaf of s that nothing is below the level def.
func (sh *shredder) missing(s *shape, def, rep int16) {
	for i := s.leaf; i < s.leaf+s.leaves; i++ {
		sh.runs[i].level(def, rep)
		sh.runs[i].nulls++
	}
}

func (v *values) begin() {
	v.n, v.nulls = 0, 0
	v.defBuf, v.repBuf = v.defBuf[:0], v.repBuf[:0]
	v.i64Buf, v.dataBuf, v.offBuf = v.i64Buf[:0], v.dataBuf[:0], append(v.offBuf[:0], 0)
}

func (v *values) level(def, rep int16) {
	v.n++
	v.defBuf = append(v.defBuf, def)
	v.repBuf = append(v.repBuf, rep)
}

func (v *values) finish(lf *leaf) error {
	v.def, v.rep = v.defBuf, nil
	if lf.maxRep > 0 {
		v.rep = v.repBuf
	}
	if lf.maxDef == 0 {
		v.def = nil
	}
	v.i64, v.data, v.off = v.i64Buf, v.dataBuf, v.offBuf
	if lf.phys == physFixed {
		return v.fix(lf)
	}
	return v.convert(lf)
}
