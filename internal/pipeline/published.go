package pipeline

import (
	"context"
	"fmt"
	"strings"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres"
)

// unpublished lists the tables whose changes since the newest cut may not have
// been published: that cut says how they were published then. Tables that no cut
// knows are new; they are loaded.
func (c *Capture) unpublished(last *Control, now postgres.Published) []*undrop.Table {
	if last == nil {
		return nil
	}
	var out []*undrop.Table
	for _, t := range c.tables() {
		if then, known := last.Published[t.TableName.String()]; known && then != now.Tables[t.TableName.String()] {
			out = append(out, t)
		}
	}
	return out
}

// republished reports whether the publication itself is not the one of the newest
// cut. A slot cannot decode what happened while there was none.
func republished(last *Control, now postgres.Published) bool {
	return last != nil && last.Publication != 0 && last.Publication != now.Publication
}

// publish makes the publication hold every table and notes how it does.
func (c *Capture) publish(ctx context.Context, before postgres.Published) error {
	if _, err := c.Source.EnsurePublication(ctx, c.tables()); err != nil {
		return err
	}
	now, err := c.Source.Published(ctx, c.tables())
	if err != nil {
		return err
	}
	for name, how := range before.Tables {
		if now.Tables[name] != how {
			return fmt.Errorf("the publication of %s changed while capture started", name)
		}
	}
	for _, t := range c.tables() {
		if now.Tables[t.TableName.String()] == "" {
			return fmt.Errorf("publication does not hold %s", t.TableName)
		}
	}
	c.published = now
	return nil
}

// stillPublished refuses to go on when the publication is not what it was when
// capture started. It is asked before every cut, so that no cut, and no table,
// claims changes that were not published. The next start opens the gap.
func (c *Capture) stillPublished(ctx context.Context) error {
	now, err := c.Source.Published(ctx, c.tables())
	if err != nil {
		return err
	}
	var changed []string
	for _, t := range c.tables() {
		if name := t.TableName.String(); now.Tables[name] != c.published.Tables[name] {
			changed = append(changed, name)
		}
	}
	if len(changed) > 0 {
		return fmt.Errorf("the publication changed for %s", strings.Join(changed, " "))
	}
	return nil
}

// openPublicationGap opens the gap of tables that were not published all the time
// since the newest cut.
func (c *Capture) openPublicationGap(ctx context.Context, changed []*undrop.Table, last *Control) error {
	if len(changed) == 0 {
		return nil
	}
	to, err := c.Source.InsertPosition(ctx)
	if err != nil {
		return err
	}
	names := tableNames(changed)
	return c.openGap(c.gap("publication_changed", "was taken out of the publication, or is another table now: "+strings.Join(names, " "), last.LSN, to, names))
}
