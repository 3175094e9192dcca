"""A BMC at the other end of QEMU's "ipmi-bmc-extern": answers what the kernel's IPMI driver asks at its start, and the LAN
configuration parameters of its channels (IPMI 2.0, 23.2). The guest speaks to it through a KCS interface, as on a server.

QEMU's protocol on the socket (hw/ipmi/ipmi_bmc_extern.c): a sequence number, network function, command, data and a checksum
that makes the sum zero, ended by 0xA0; 0xA1 ends commands to and from the interface itself; 0xAA escapes these three.
"""
import ipaddress
import os
import socket
import threading

END, END_OF_COMMAND, ESCAPE = 0xA0, 0xA1, 0xAA
INVALID_COMMAND, OUT_OF_RANGE, UNSUPPORTED_PARAMETER = 0xC1, 0xC9, 0x80
APPLICATION, TRANSPORT = 0x06, 0x0C


def ipv6(selector, source, address, status):
    return bytes([selector, source]) + ipaddress.IPv6Address(address).packed + bytes([64, status])


# Channel 1 is there but has no address; 3 is the one; 2 and 4 to 11 are no LAN channels.
CHANNELS = {
    1: {(3, 0): bytes(4), (5, 0): bytes.fromhex("525400000b01"), (51, 0): b"\x00"},
    3: {(3, 0): bytes([172, 22, 0, 5]), (5, 0): bytes.fromhex("525400000b03"), (51, 0): b"\x02", (55, 0): b"\x02\x02\x00",
        (56, 0): ipv6(0, 0x00, "2001:db8::bad", 0), (56, 1): ipv6(1, 0x80, "2001:db8::3", 0),
        (59, 0): ipv6(0, 0x01, "fe80::3", 0), (59, 1): ipv6(1, 0x01, "2001:db8::4", 3)},
}


def answer(function, command, data):
    """Completion code and data."""
    if (function, command) == (APPLICATION, 0x01):  # Get Device ID
        return bytes([0, 0x20, 0x01, 0x01, 0x00, 0x02, 0x80, 0, 0, 0, 0, 0])
    if (function, command) in ((APPLICATION, 0x2E), (APPLICATION, 0x30)):  # Set Global Enables, Clear Flags
        return b"\x00"
    if (function, command) in ((APPLICATION, 0x2F), (APPLICATION, 0x31)):  # Get Global Enables, Get Flags
        return b"\x00\x00"
    if (function, command) == (TRANSPORT, 0x02) and len(data) == 4:  # Get LAN Configuration Parameters
        channel = CHANNELS.get(data[0] & 0x0F)
        if channel is None:
            return bytes([OUT_OF_RANGE])
        value = channel.get((data[1], data[2]))
        return bytes([UNSUPPORTED_PARAMETER]) if value is None else b"\x00\x11" + value
    return bytes([INVALID_COMMAND])


def encode(body):
    body += bytes([-sum(body) & 0xFF])
    out = b""
    for byte in body:
        out += bytes([ESCAPE, byte | 0x10]) if byte in (END, END_OF_COMMAND, ESCAPE) else bytes([byte])
    return out + bytes([END])


def converse(connection):
    message, escaped = b"", False
    while True:
        received = connection.recv(4096)
        if not received:
            return
        for byte in received:
            if byte == ESCAPE:
                escaped = True
            elif byte == END and len(message) >= 4 and sum(message) & 0xFF == 0:
                sequence, function, command, data = message[0], message[1], message[2], message[3:-1]
                connection.sendall(encode(bytes([sequence, function | 0x04, command]) + answer(function >> 2, command, data)))
                message = b""
            elif byte in (END, END_OF_COMMAND):
                message = b""
            else:
                message += bytes([byte & ~0x10 & 0xFF if escaped else byte])
                escaped = False


def serve(path):
    """Waits for QEMU at a Unix socket and answers it for as long as this process lives."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)

    def run():
        while os.path.exists(path):
            connection, _ = listener.accept()
            try:
                converse(connection)
            except OSError:
                pass  # the machine was switched off
            connection.close()

    threading.Thread(target=run, daemon=True).start()
