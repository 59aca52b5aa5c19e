// Package deskyard is the vocabulary of the service and its rules: host pools,
// session hosts and their status, user sessions, application groups, workspaces,
// scaling plans, registration keys, health checks, and the store that keeps them.
// It performs no I/O.
package deskyard
