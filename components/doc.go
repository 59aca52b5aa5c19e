// Package components is the service's catalogue of what session hosts install:
// component archives for the boot loader and installers for people.
//
// A package enters by Publish into a ring. Hosts of validation pools get the newest
// of both rings, all others the newest in production; Promote moves a version from
// validation to production, and Withdraw takes one back, which brings hosts to the
// newest version left.
//
// The index is a document in the store, so that all nodes agree. The files are in a
// folder by their digest; nodes share that folder, or each is given the same files
// (Publish of a file that the index knows adds the file alone).
//
// Manifests are signed when they are served, with the service's key for components;
// agents learned its public half at registration.
package components
