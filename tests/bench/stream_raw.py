#!/usr/bin/python3
"""How ironic-python-agent writes a raw image: 1 MiB at a time onto the device, through the page cache, hashed on the way and
compared when all is written.

    stream_raw.py URL DEVICE SHA256"""
import hashlib
import os
import sys
import urllib.request

url, device, expected = sys.argv[1:]
digest = hashlib.sha256()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(url) as source, open(device, "wb+") as disk:
    while chunk := source.read(1 << 20):
        disk.write(chunk)
        digest.update(chunk)
    disk.flush()
    os.fsync(disk.fileno())
sys.exit(0 if digest.hexdigest() == expected else 1)
