package network

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"

	"github.com/deskyard/deskyard/compute"
)

// leaseFor outlasts any pause of the service: an address is an interface's for as
// long as that exists, and nobody else's.
const leaseFor = 7 * 24 * time.Hour

// leases is the DHCP server of one bridge. It hands out what is reserved, and is
// silent to everybody else.
type leases struct {
	network compute.Network
	log     *slog.Logger
	server  *server4.Server
	done    sync.WaitGroup

	mu       sync.Mutex            // guards reserved
	reserved map[string]netip.Addr // by Ethernet address, lower case
}

// serve starts the DHCP server of one of our bridges, or tells it its reservations;
// the host's lock is held. dropDevices ends it with its bridge.
func (h *Host) serve(bridge string, n compute.Network) error {
	if n.DHCP || n.Bridge != "" {
		return nil
	}
	reserved := map[string]netip.Addr{}
	for _, p := range h.ports {
		if h.bridge(p.NIC.Network) == bridge {
			reserved[strings.ToLower(p.NIC.MAC)] = p.NIC.Address
		}
	}
	s := h.servers[bridge]
	if s == nil {
		s = &leases{network: n, log: h.o.Log.With("bridge", bridge)}
		if err := s.start(bridge); err != nil {
			return err
		}
		h.servers[bridge] = s
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved = reserved
	return nil
}

func (s *leases) start(bridge string) error {
	server, err := server4.NewServer(bridge, &net.UDPAddr{IP: net.IPv4zero, Port: dhcpv4.ServerPort}, s.handle)
	if err != nil {
		return fmt.Errorf("serve DHCP on %s: %w", bridge, err)
	}
	s.server = server
	s.done.Go(func() {
		if err := server.Serve(); err != nil && !errors.Is(err, net.ErrClosed) {
			s.log.Error("DHCP ended", "error", err)
		}
	})
	return nil
}

func (s *leases) stop() {
	if err := s.server.Close(); err != nil {
		s.log.Error("DHCP not ended", "error", err)
	}
	s.done.Wait()
}

// handle answers one packet.
func (s *leases) handle(conn net.PacketConn, peer net.Addr, request *dhcpv4.DHCPv4) {
	reply, err := s.answer(request)
	if err != nil {
		s.log.Error("DHCP not answered", "client", request.ClientHWAddr, "error", err)
		return
	}
	if reply == nil {
		return
	}
	if _, err := conn.WriteTo(reply.ToBytes(), peer); err != nil {
		if !errors.Is(err, net.ErrClosed) {
			s.log.Error("DHCP not answered", "client", request.ClientHWAddr, "error", err)
		}
		return
	}
	s.log.Debug("DHCP answered", "client", request.ClientHWAddr, "answer", reply.MessageType(), "address", reply.YourIPAddr)
}

// answer decides what a client is told, nil for nothing (RFC 2131, section 4.3).
func (s *leases) answer(request *dhcpv4.DHCPv4) (*dhcpv4.DHCPv4, error) {
	if request.OpCode != dhcpv4.OpcodeBootRequest {
		return nil, nil
	}
	s.mu.Lock()
	address, known := s.reserved[request.ClientHWAddr.String()]
	s.mu.Unlock()
	if !known {
		return nil, nil
	}
	gateway := net.IP(s.network.Gateway.AsSlice())
	if chosen := request.ServerIdentifier(); chosen != nil && !chosen.Equal(gateway) {
		return nil, nil // another server's client
	}
	var kind dhcpv4.MessageType
	switch request.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		kind = dhcpv4.MessageTypeOffer
	case dhcpv4.MessageTypeInform:
		kind = dhcpv4.MessageTypeAck
	case dhcpv4.MessageTypeRequest:
		wanted := request.RequestedIPAddress()
		if wanted == nil || wanted.IsUnspecified() {
			wanted = request.ClientIPAddr
		}
		if !wanted.Equal(address.AsSlice()) {
			return dhcpv4.NewReplyFromRequest(request, dhcpv4.WithMessageType(dhcpv4.MessageTypeNak), dhcpv4.WithServerIP(gateway), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(gateway)))
		}
		kind = dhcpv4.MessageTypeAck
	default: // release, decline: the address stays the interface's
		return nil, nil
	}
	var servers []net.IP
	for _, a := range s.network.DNS {
		servers = append(servers, a.AsSlice())
	}
	with := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind), dhcpv4.WithServerIP(gateway), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(gateway)),
		dhcpv4.WithNetmask(net.CIDRMask(s.network.Prefix.Bits(), 32)), dhcpv4.WithRouter(gateway),
	}
	if request.MessageType() != dhcpv4.MessageTypeInform {
		with = append(with, dhcpv4.WithYourIP(address.AsSlice()), dhcpv4.WithLeaseTime(uint32(leaseFor/time.Second)))
	}
	if len(servers) > 0 {
		with = append(with, dhcpv4.WithDNS(servers...))
	}
	return dhcpv4.NewReplyFromRequest(request, with...)
}
