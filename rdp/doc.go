// Package rdp is what a gateway sees of RDP in passing ([MS-RDPBCGR]): the negotiation
// that opens a connection, the wrapping in which browsers bring it (RDCleanPath), the few
// fields that are set right on their way, and RDSTLS. It decodes no pictures, and needs
// nothing but the bytes.
package rdp
