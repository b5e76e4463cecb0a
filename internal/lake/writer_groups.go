package lake

import "github.com/undrop/undrop/internal/batch"

// groups are the rows of one call of Write by partition.
type groups struct {
	list []share
	at   map[string]int
	key  []byte
}

type share struct {
	key    string
	rows   []int32 // of the batch
	origin []int32 // numbers of the rows in the call
}

// split sorts the rows of s into partitions, in the order of their first rows.
func (g *groups) split(p *partitioner, b *batch.Batch, s selection) error {
	if g.at == nil || len(g.at) > 4*openFiles {
		g.list, g.at = nil, map[string]int{}
	}
	clear(g.at)
	spare := g.list
	g.list = g.list[:0]
	var err error
	for i := range s.n {
		row := int32(i)
		if s.rows != nil {
			row = s.rows[i]
		}
		if g.key, err = p.key(g.key[:0], b, int(row)); err != nil {
			return err
		}
		at, ok := g.at[string(g.key)]
		if !ok {
			at = len(g.list)
			fresh := share{key: string(g.key)}
			if at < len(spare) {
				fresh.rows, fresh.origin = spare[at].rows[:0], spare[at].origin[:0]
			}
			g.list = append(g.list, fresh)
			g.at[fresh.key] = at
		}
		g.list[at].rows = append(g.list[at].rows, row)
		g.list[at].origin = append(g.list[at].origin, int32(i))
	}
	return nil
}
