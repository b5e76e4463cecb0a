// Package undrop is the vocabulary that every other package shares: positions,
// schemas, cuts, accounts, gaps and the error that reaches a person.
//
// It does no I/O and imports nothing of ours. A word that two packages must
// agree on is defined here; what only one package needs stays there.
package undrop
