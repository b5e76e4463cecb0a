// Package kafka is the log between capture and apply: a producer that keeps the
// order of each partition, a reader that never jumps, topics that are refused
// when they do not fit, an embedded broker for one machine and a schema
// registry. Apache Kafka and the embedded broker are the same code to callers.
//
// It refuses what loses data quietly: consumer groups and their offset resets,
// automatic topic creation, compacted topics, a topic that was deleted and made
// again under its old name, and offsets that the log does not hold.
//
// # Single-machine mode
//
// The embedded broker speaks the Kafka protocol but is not Kafka. It has no
// replication, no transactions, no retention by time and no compaction. What it
// acknowledges has been handed to fsync, data and directories both; an fsync
// that the disk answers with an error is not noticed. A kill may leave records
// that were not yet acknowledged there twice, the second time after newer ones,
// so readers must recognise what they have read by source position; the first
// appearances are in order. Opening reads the whole log once, which is why its
// size is capped.
package kafka
