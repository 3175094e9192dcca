#!/usr/bin/python3
"""A name server for tests: name_server.py ADDRESS ANSWER [SECONDS ANSWER]

ANSWER is nxdomain, servfail, refused, nothing, or the IPv4 address of every name; after SECONDS it is the second one.
"DOMAIN=ANSWER,ANSWER" has one for the names in DOMAIN, and another for all others.
Prints a line once it listens, on port 53, and then every name it is asked for.
"""
import socket
import struct
import sys
import time

CODES = {"servfail": 2, "nxdomain": 3, "refused": 5}


def question(packet):
    """The name that a query asks for, its type, and the question's bytes."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii", "replace"))
        at += 1 + packet[at]
    return ".".join(labels), struct.unpack(">H", packet[at + 1:at + 3])[0], packet[12:at + 5]


def reply(packet, answer):
    _, kind, asked = question(packet)
    code = CODES.get(answer, 0)
    records = b""
    if code == 0 and kind == 1:
        records = struct.pack(">HHHLH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(answer)
    return packet[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 1 if records else 0, 0, 0) + asked + records


def main():
    address, answer, *later = sys.argv[1:]
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    start = time.monotonic()
    print("ready", flush=True)
    while True:
        packet, client = server.recvfrom(4096)
        if later and time.monotonic() - start >= float(later[0]):
            answer = later[1]
        name = question(packet)[0]
        print(name, flush=True)
        domain, _, special = answer.split(",")[0].rpartition("=")
        chosen = special if not domain or name.endswith("." + domain) else answer.split(",")[1]
        if chosen != "nothing":
            server.sendto(reply(packet, chosen), client)


main()
