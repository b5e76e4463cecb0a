package envelope

import (
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// TestLongs compares the word-wide form with the plain one of encoding/binary, at
// every length and at every distance from the end of the record.
func TestLongs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 20_000 {
		v := randomInt(r, 64)
		if n < 128 {
			v = 1 << (n / 2)
			if n%2 == 1 {
				v = -v
			}
		}
		want := binary.AppendVarint(nil, v)
		got := appendLong([]byte{9}, v)[1:]
		if string(got) != string(want) {
			t.Fatalf("%d is %x, want %x", v, got, want)
		}
		for rest := range 9 {
			rd := reader{p: append(want[:len(want):len(want)], make([]byte, rest)...)}
			if back := rd.long(); back != v || rd.i != len(want) || rd.reason != "" {
				t.Fatalf("%d came back as %d after %d bytes: %s", v, back, rd.i, rd.reason)
			}
		}
	}
}

// TestDecimals compares with math/big: bytes, text and limits, for all precisions.
func TestDecimals(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		precision := 1 + r.IntN(38)
		scale := r.IntN(precision + 1)
		n := randomUnscaled(r, precision)
		c := batch.NewColumn(decimal(precision, scale))
		if small(c.Type) {
			c.AppendInt(n.Int64())
		} else {
			c.AppendBytes(batch.AppendBig16(nil, n))
		}
		text := string(appendText(nil, &c, 0))
		want := string(c.AppendText(nil, 0))
		if text != want {
			t.Fatalf("%s at scale %d is %s, want %s", n, scale, text, want)
		}
		w, reason := parseDecimal([]byte(text), precision, scale)
		back := batch.BigFrom16(w.appendTo(nil))
		if reason != "" || back.Cmp(n) != 0 {
			t.Fatalf("%s came back as %s %s", text, back, reason)
		}
		wire := appendAvro(nil, &c, 0)
		if fewest := len(wire) - 1; fewest != n.BitLen()/8+1 && n.Sign() >= 0 {
			t.Fatalf("%s takes %d bytes", n, fewest)
		}
		if got := batch.BigFrom16(wire[1:]); got.Cmp(n) != 0 {
			t.Fatalf("%s is %s on the wire", n, got)
		}
	}
	for precision := 1; precision <= 38; precision++ {
		limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
		for _, d := range []int64{-1, 0} {
			n := new(big.Int).Add(limit, big.NewInt(d))
			for range 2 {
				if w := wideFrom(batch.AppendBig16(nil, n)); w.fits(precision) != (d < 0) {
					t.Errorf("%s in %d digits", n, precision)
				}
				n.Neg(n)
			}
		}
	}
}

// TestISO compares every day of the calendar with package time.
func TestISO(t *testing.T) {
	for day := int64(firstDay); day <= lastDay; day++ {
		got, ok := appendISO(nil, undrop.Date, day)
		back, ok2 := parseISO(undrop.Date, got)
		if !ok || !ok2 || back != day {
			t.Fatalf("day %d is %s and came back as %d", day, got, back)
		}
		if day%97 != 0 && day > firstDay+800 && day < lastDay-800 {
			continue
		}
		at := time.Unix(day*86400, 0).UTC().Add(time.Duration(day&0xfffff) * time.Microsecond)
		if want := at.Format("2006-01-02"); string(got) != want {
			t.Fatalf("day %d is %s, want %s", day, got, want)
		}
		stamp, _ := appendISO(nil, undrop.TimestampTZ, at.UnixMicro())
		if want := at.Format("2006-01-02T15:04:05.000000Z"); string(stamp) != want {
			t.Fatalf("%s, want %s", stamp, want)
		}
	}
	for _, v := range []int64{firstDay - 1, lastDay + 1} {
		if _, ok := appendISO(nil, undrop.Date, v); ok {
			t.Errorf("day %d has a form", v)
		}
	}
}
