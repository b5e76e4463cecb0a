package envelope

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// fixedHeaders are the headers that all records of a table share; their bytes
// must not be written to.
type fixedHeaders struct{ contract, version kgo.RecordHeader }

func newFixedHeaders(t *undrop.Table) fixedHeaders {
	return fixedHeaders{
		contract: kgo.RecordHeader{Key: HeaderContract, Value: []byte(t.Contract.ID)},
		version:  kgo.RecordHeader{Key: HeaderVersion, Value: []byte(t.Contract.Version)},
	}
}

// headerArena hands out memory for headers. Records keep what they got, so it is
// never used again, only left behind.
type headerArena struct {
	text  []byte
	slots []kgo.RecordHeader
}

const (
	arenaText  = 16 << 10
	arenaSlots = 512
	lsnMax     = 17 // "FFFFFFFF/FFFFFFFF"
	seqMax     = 20 // "-9223372036854775808"
)

// grow makes room for n headers behind dst.
func (a *headerArena) grow(dst []kgo.RecordHeader, n int) []kgo.RecordHeader {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	if len(dst) > 0 {
		return slices.Grow(dst, n)
	}
	if len(a.slots) < n {
		a.slots = make([]kgo.RecordHeader, arenaSlots)
	}
	dst, a.slots = a.slots[:0:n], a.slots[n:]
	return dst
}

// Headers appends the headers of a row: always contract, version, lsn and seq;
// the others only when the batch knows something that the value cannot say.
func (e *Encoder) Headers(dst []kgo.RecordHeader, b *batch.Batch, row int) []kgo.RecordHeader {
	dst = e.grow(dst, 4)
	if cap(e.text)-len(e.text) < lsnMax+seqMax {
		e.text = make([]byte, 0, arenaText)
	}
	at := len(e.text)
	e.text = appendLSN(e.text, b.LSN[row])
	mid := len(e.text)
	e.text = strconv.AppendInt(e.text, b.Seq[row], 10)
	end := len(e.text)
	dst = append(dst, e.headers.contract, e.headers.version,
		kgo.RecordHeader{Key: HeaderLSN, Value: e.text[at:mid:mid]},
		kgo.RecordHeader{Key: HeaderSeq, Value: e.text[mid:end:end]})
	return appendAside(dst, b, row)
}

// appendAside appends what few rows have.
func appendAside(dst []kgo.RecordHeader, b *batch.Batch, row int) []kgo.RecordHeader {
	if len(b.Unchanged) > 0 {
		if u := b.Unchanged[row]; len(u) > 0 {
			dst = append(dst, kgo.RecordHeader{Key: HeaderUnchanged, Value: appendJSONNames(nil, b.Table, u)})
		}
	}
	if len(b.PrevKey) > 0 {
		if k, ok := b.PrevKey[row]; ok {
			dst = append(dst, kgo.RecordHeader{Key: HeaderPrevKey, Value: slices.Clone(k)})
		}
	}
	if len(b.Bad) > 0 {
		if v := b.Bad[row]; len(v) > 0 {
			dst = append(dst, kgo.RecordHeader{Key: HeaderBad, Value: appendViolations(nil, v)})
		}
	}
	if len(b.Raw) > 0 {
		if raw, ok := b.Raw[row]; ok {
			dst = append(dst, kgo.RecordHeader{Key: HeaderRaw, Value: []byte(raw)})
		}
	}
	return dst
}

// aside are the headers of one record that decoding needs.
type aside struct{ unchanged, prevKey, bad, raw *kgo.RecordHeader }

func readAside(headers []kgo.RecordHeader) (a aside) {
	for i := range headers {
		h := &headers[i]
		if len(h.Key) < 8 || h.Key[0] != 'u' {
			continue
		}
		switch h.Key {
		case HeaderUnchanged:
			a.unchanged = h
		case HeaderPrevKey:
			a.prevKey = h
		case HeaderBad:
			a.bad = h
		case HeaderRaw:
			a.raw = h
		}
	}
	return a
}

// apply notes on row, the newest of b, what its headers say; on a failure nothing
// is noted. A column that the table no longer has is not missed.
func (a aside) apply(b *batch.Batch, row int) error {
	var names []string
	var violations []undrop.Violation
	var err error
	if a.unchanged != nil {
		if names, err = parseJSONNames(a.unchanged.Value); err != nil {
			return &Malformed{Reason: fmt.Sprintf("header %s: %v", HeaderUnchanged, err)}
		}
	}
	if a.bad != nil {
		if violations, err = parseViolations(a.bad.Value); err != nil {
			return &Malformed{Reason: fmt.Sprintf("header %s: %v", HeaderBad, err)}
		}
	}
	for _, name := range names {
		c := slices.IndexFunc(b.Table.Fields, func(f undrop.Field) bool { return f.Name == name })
		if c < 0 {
			continue
		}
		b.Cols[c].Truncate(row) // the placeholder
		b.Cols[c].AppendNull()
		b.AddUnchanged(row, c)
	}
	for _, v := range violations {
		b.AddBad(row, v)
	}
	if a.prevKey != nil {
		b.SetPrevKey(row, append([]byte{}, a.prevKey.Value...))
	}
	if a.raw != nil {
		b.SetRaw(row, string(a.raw.Value))
	}
	return nil
}

func appendLSN(dst []byte, l undrop.LSN) []byte {
	const digits = "0123456789ABCDEF"
	half := func(v uint32) {
		shift := 28
		for shift > 0 && v>>shift == 0 {
			shift -= 4
		}
		for ; shift >= 0; shift -= 4 {
			dst = append(dst, digits[v>>shift&15])
		}
	}
	half(uint32(l >> 32))
	dst = append(dst, '/')
	half(uint32(l))
	return dst
}

// violation is one entry of HeaderBad. JSON has no form for bytes that are not
// UTF-8, which a source may well have written: those are base64.
type violation struct {
	undrop.Violation
	Base64 []string `json:"base64,omitempty"` // which of rule, path, actual, detail are base64
}

func appendViolations(dst []byte, vs []undrop.Violation) []byte {
	out := make([]violation, len(vs))
	for i, v := range vs {
		o := violation{Violation: v}
		for name, s := range o.texts() {
			if !utf8.ValidString(*s) {
				*s = base64.StdEncoding.EncodeToString([]byte(*s))
				o.Base64 = append(o.Base64, name)
			}
		}
		slices.Sort(o.Base64)
		out[i] = o
	}
	text, err := json.Marshal(out)
	if err != nil { // strings always marshal
		panic(err)
	}
	return append(dst, text...)
}

func parseViolations(v []byte) ([]undrop.Violation, error) {
	var in []violation
	if err := json.Unmarshal(v, &in); err != nil {
		return nil, err
	}
	out := make([]undrop.Violation, len(in))
	for i := range in {
		texts := in[i].texts()
		for _, name := range in[i].Base64 {
			s := texts[name]
			if s == nil {
				return nil, fmt.Errorf("base64 names %q", name)
			}
			raw, err := base64.StdEncoding.DecodeString(*s)
			if err != nil {
				return nil, err
			}
			*s = string(raw)
		}
		out[i] = in[i].Violation
	}
	return out, nil
}

func (v *violation) texts() map[string]*string {
	return map[string]*string{"rule": &v.Rule, "path": &v.Path, "actual": &v.Actual, "detail": &v.Detail}
}
