package main

import "errors"

func (b build) windows(c component) error { return errors.New("windows") }
