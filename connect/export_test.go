package connect

import "time"

// PollEvery has clients that wait for a machine look for it this often.
func (s *Service) PollEvery(d time.Duration) { s.poll = d }
