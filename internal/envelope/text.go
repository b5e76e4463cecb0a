package envelope

import (
	"encoding/binary"
	"unicode/utf8"
)

// validText reports whether v may be a value of kind String.
func validText(v []byte) bool {
	const lows, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; len(v)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(v[i:])
		if (w|(w-lows))&highs != 0 { // a byte that is not ASCII, or perhaps a zero
			return validTextSlow(v[i:])
		}
	}
	for ; i < len(v); i++ {
		if v[i]-1 >= 0x7f {
			return validTextSlow(v[i:])
		}
	}
	return true
}

func validTextSlow(v []byte) bool {
	for _, b := range v {
		if b == 0 {
			return false
		}
	}
	return utf8.Valid(v)
}

// parseUUID appends the 16 bytes of the usual 36 characters.
func parseUUID(dst, s []byte) ([]byte, bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return dst, false
	}
	at := len(dst)
	for i := 0; i < 36; i += 2 {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			i++
		}
		hi, lo := hexDigit(s[i]), hexDigit(s[i+1])
		if hi > 15 || lo > 15 {
			return dst[:at], false
		}
		dst = append(dst, hi<<4|lo)
	}
	return dst, true
}

func hexDigit(b byte) byte {
	switch {
	case b >= '0' && b <= '9':
		return b - '0'
	case b >= 'a' && b <= 'f':
		return b - 'a' + 10
	case b >= 'A' && b <= 'F':
		return b - 'A' + 10
	}
	return 255
}
