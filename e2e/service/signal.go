package service

import "os"

// Process is the service's process, for tests that measure it or signal it.
func (s *Service) Process() *os.Process { return s.process.Process }

// Kill ends the service as a power cut does, and waits until it is gone.
func (s *Service) Kill() error {
	if err := s.process.Process.Kill(); err != nil {
		return err
	}
	<-s.exited
	return nil
}
