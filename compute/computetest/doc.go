// Package computetest holds compute's contract as tests. Every driver runs them
// over its own hypervisor; a sentence of compute's package comment that a driver
// breaks is a test that fails by that sentence's name.
//
//	func TestDriverKeepsTheContract(t *testing.T) {
//		computetest.Run(t, computetest.Options{
//			New:   func(t *testing.T, h computetest.Host) compute.Driver { … },
//			Image: image, Network: network,
//		})
//	}
//
// Run needs no guest that boots: its machines run their firmware and find nothing.
// RunBooted (build tag e2e) boots the test guest of e2e/drivers/guest and
// lets it tell what it sees from the inside.
package computetest
