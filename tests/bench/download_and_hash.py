#!/usr/bin/python3
"""The download of the download-hash-convert flow: 1 MiB at a time into a file, hashed on the way, then compared.

    download_and_hash.py URL FILE SHA256"""
import hashlib
import sys
import urllib.request

url, path, expected = sys.argv[1:]
digest = hashlib.sha256()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(url) as source, open(path, "wb") as file:
    while chunk := source.read(1 << 20):
        file.write(chunk)
        digest.update(chunk)
sys.exit(0 if digest.hexdigest() == expected else 1)
