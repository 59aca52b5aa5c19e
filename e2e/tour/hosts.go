package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/deskyard/deskyard/e2e/service"
	"github.com/deskyard/deskyard/e2e/yard"
)

const (
	prefix = "sh"
	admin  = "deskadmin"
	size   = "Custom_2_768" // two hosts of 768 MiB fit on most machines

	deployFor = 20 * time.Minute // two guests, under emulation on a busy machine
	statusFor = 4 * time.Minute
)

// addHosts makes two session hosts and follows them to Available.
func (t *tour) addHosts(ctx context.Context) error {
	secret := make([]byte, 12)
	if _, err := rand.Read(secret); err != nil {
		return fmt.Errorf("make a password: %w", err)
	}
	h := yard.Hosts{Pool: yard.Pool, Prefix: prefix, Count: 2, Image: t.image, Size: size, Admin: admin,
		Password: "Pw1-" + hex.EncodeToString(secret), Tags: map[string]string{"purpose": "demo"}}
	begun := time.Now()
	m, err := yard.FindMicrosoft(t.repo)
	switch {
	case errors.Is(err, yard.ErrNoTemplates):
		t.say("Microsoft's template is not on this machine: deskyard sessionhost add makes the two hosts instead")
		err = t.yard.Add(ctx, os.Stdout, h.Password, "--name-prefix", prefix, "--count", "2", "--image", t.image.URN(), "--size", size,
			"--vnet", yard.VNet, "--subnet", yard.Subnet, "--admin-user", admin, "--os-disk-type", "StandardSSD_LRS", "--tags", "purpose=demo")
	case err == nil:
		err = t.deploy(ctx, m, h)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, statusFor)
	defer cancel()
	for _, name := range h.Names() {
		if err := t.show(ctx, name, "Available"); err != nil {
			return err
		}
	}
	t.say("Both hosts take users, %.0f s after the request", time.Since(begun).Seconds())
	return nil
}

// deploy has az deploy Microsoft's template with the pool's key.
func (t *tour) deploy(ctx context.Context, m yard.Microsoft, h yard.Hosts) error {
	var err error
	if h.Key, err = t.yard.Pool.Key(ctx); err != nil {
		return err
	}
	t.say("az deployment group create --template-file %s: two session hosts of %s", m.AddVirtualMachines(), size)
	ctx, cancel := context.WithTimeout(ctx, deployFor)
	defer cancel()
	return t.yard.Deploy(ctx, "demo", m.AddVirtualMachines(), h.AddVirtualMachinesParameters(), func(o yard.Operation) {
		line := "    " + o.Resource + ": " + o.State
		if o.Error != "" {
			line += "  (" + clip(o.Error, 150) + ")"
		}
		t.say("%s", line)
	})
}

// show prints each status of a host until it has the wanted one.
func (t *tour) show(ctx context.Context, host, want string) error {
	_, err := t.yard.Pool.Watch(ctx, host, want, func(_ service.Sighting, h service.Host) {
		line := h.Properties.Status
		if h.Properties.StatusReason != "" {
			line += "  (" + clip(h.Properties.StatusReason, 150) + ")"
		}
		if line == t.shown[host] {
			return
		}
		t.shown[host] = line
		t.say("    %s: %s", host, line)
	})
	return err
}

// removeHost removes one host with its machine, and looks for what is left of it.
func (t *tour) removeHost(ctx context.Context) error {
	const host = prefix + "-1"
	var vm struct{ Properties struct{ VMID string } }
	if err := t.yard.Get(ctx, "Microsoft.Compute/virtualMachines/"+host, "2024-07-01", &vm); err != nil {
		return err
	}
	t.say("deskyard sessionhost remove -n %s: drains it, signs users out, deletes machine, disk, interface and records", host)
	if err := t.yard.Remove(ctx, yard.Pool, host); err != nil {
		return err
	}
	left, err := t.yard.Leftovers(ctx, yard.Pool, host, vm.Properties.VMID)
	if err != nil {
		return err
	}
	orphans, err := t.yard.Orphans(ctx)
	if err != nil {
		return err
	}
	if len(left)+len(orphans) > 0 {
		return fmt.Errorf("remove %s: left are %v and orphans %s", host, left, orphans)
	}
	t.say("Nothing of it is left: no row, no folder, no process, no orphan")
	return nil
}
