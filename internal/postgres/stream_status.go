package postgres

import (
	"encoding/binary"
	"time"
)

// report tells the server, on time and however slow the reader of the stream is,
// that we are alive and what was acknowledged.
func (s *Stream) report() {
	defer close(s.done)
	tick := time.NewTicker(s.cfg.StatusInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			_ = s.sendStatus() // the server may be gone; the same report follows on the next start
			return
		case <-s.reply:
		case <-tick.C:
		}
		if s.sendStatus() != nil {
			// The connection is broken: Next reads the same and says so.
			<-s.stop
			return
		}
	}
}

// sendStatus writes one Standby Status Update. Written and applied are the same
// as flushed: the server sends a keepalive with its position whenever it is
// ahead of what was written, which is how an idle stream learns that it is idle.
func (s *Stream) sendStatus() error {
	s.writes.Lock()
	defer s.writes.Unlock()
	lsn := s.acked.Load()
	msg := make([]byte, 0, 39)
	msg = append(msg, 'd', 0, 0, 0, 38, 'r')
	for range 3 {
		msg = binary.BigEndian.AppendUint64(msg, lsn)
	}
	msg = binary.BigEndian.AppendUint64(msg, uint64(time.Now().UnixMicro()-epochShift))
	msg = append(msg, 0)
	if err := s.wire.net.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err := s.wire.net.Write(msg)
	return err
}
