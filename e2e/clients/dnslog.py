#!/usr/bin/python3
"""A name server on 127.0.0.1:53 that knows no name and writes each one asked for
into the file given as its argument. Ends with SIGTERM."""

import signal
import socket
import sys


def question(packet):
    """The name that a DNS query asks for."""
    labels, at = [], 12
    while at < len(packet) and packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("ascii", "replace"))
        at += 1 + packet[at]
    return ".".join(labels)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
with open(sys.argv[1], "a", buffering=1, encoding="utf-8") as log:
    while True:
        packet, client = server.recvfrom(4096)
        if len(packet) < 12:
            continue
        log.write(question(packet) + "\n")
        # The query back as an answer: response, recursion available, NXDOMAIN.
        server.sendto(packet[:2] + b"\x81\x83" + packet[4:6] + b"\0\0\0\0\0\0" + packet[12:], client)
