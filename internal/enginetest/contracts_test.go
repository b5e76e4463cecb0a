package enginetest_test

import (
	"os"
	"regexp"
	"strings"
)

// draft is a contract file in the hands of its owner.
type draft struct {
	i    *installation
	file string
	text string
}

func (i *installation) draft(table string) *draft {
	i.t.Helper()
	d := &draft{i: i, file: i.contractFile(table)}
	data, err := os.ReadFile(d.file)
	if err != nil {
		i.t.Fatal(err)
	}
	d.text = string(data)
	return d
}

// replace puts something else for a part that has to be there.
func (d *draft) replace(old, with string) *draft {
	d.i.t.Helper()
	if !strings.Contains(d.text, old) {
		d.i.t.Fatalf("%s has no %q:\n%s", d.file, old, d.text)
	}
	return &draft{d.i, d.file, strings.Replace(d.text, old, with, 1)}
}

// without leaves a column out.
func (d *draft) without(column string) *draft {
	d.i.t.Helper()
	at := strings.Index(d.text, "      - name: "+column+"\n")
	if at < 0 {
		d.i.t.Fatalf("%s has no column %s:\n%s", d.file, column, d.text)
	}
	rest := d.text[at+1:]
	if next := strings.Index(rest, "      - name: "); next >= 0 {
		rest = rest[next:]
	} else {
		rest = ""
	}
	return &draft{d.i, d.file, d.text[:at] + rest}
}

var versionLine = regexp.MustCompile(`(?m)^version: .*$`)

// write makes this text the contract in force, as a version.
func (d *draft) write(version string) *draft {
	d.i.t.Helper()
	n := &draft{d.i, d.file, versionLine.ReplaceAllString(d.text, "version: "+version)}
	if err := os.WriteFile(d.file, []byte(n.text), 0o600); err != nil {
		d.i.t.Fatal(err)
	}
	return n
}
