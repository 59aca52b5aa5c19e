// Package history keeps what session hosts and host pools were like: a point a minute for
// a day, an hour for a month. Points are few bytes each and written once a minute for all
// hosts together, so that ten thousand hosts cost the store some writes a second.
package history
