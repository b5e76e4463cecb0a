// Package contract reads Open Data Contract Standard files (v3.1 and v3.2) and
// turns them into tables that the pipeline can run: typed fields with stable
// ids, keys, rules and bindings. It also judges: whether rows keep the promise
// (Checker), and whether a new version keeps the promises of the old (Diff).
//
// It is pure: bytes and batches in, values and reasons out. It refuses what it
// cannot carry exactly (a number without a scale, two columns that differ only
// by case, a pattern that means something else in another dialect) and never
// guesses a unit, a zone or a precision.
package contract
