#!/usr/bin/python3
"""A real HTTP/1.1 server over a directory, with every fault a network and a server can have, on request.

    fault_server.py DIRECTORY [--port N] [--tls CERT KEY] [--proxy-auth USER:PASSWORD] [--until-stdin-closes]

It listens on 127.0.0.1, prints its URL ("http://127.0.0.1:PORT") as the first line, and serves until it is killed or,
with --until-stdin-closes, whoever started it is gone. GET and HEAD; Range (one range), If-Range, strong ETag, Last-Modified.
An absolute request target and CONNECT work too: it is a proxy then (for an absolute target it serves its own file of
that path; CONNECT tunnels to 127.0.0.1 whatever host was named, with the port named).

Special paths
    /_log               every request so far, one JSON object a line: method, target, path, query, headers (lower-case
                        names), proxied (absolute target or CONNECT), status (0 while it is being answered)
    /_log?clear=1       the same, and forgets them

Faults are chosen by the query of the file's URL, so that one server has them all at once. Parameters combine. Those with
a star happen only
    times=K             K times in all for this URL (default: every time)
    after=K             and not at the first K requests for this URL
the others hold for every answer.
  What is said
  * status=N            answers N instead of the file; retry_after=S adds Retry-After (seconds, or a date as given)
    auth=USER:PASSWORD  401 unless basic authorization says exactly that
    bearer=TOKEN        401 unless Authorization says exactly "Bearer TOKEN"
    etag=strong|weak|none|changing   changing: another one for every request (default strong)
    modified=old|now|none            Last-Modified; now: not older than Date, so a weak validator (default old)
    accept=none|silent  Accept-Ranges: none, or no such field (default: bytes)
    ranges=ignored      200 and the whole file whatever Range says
    ranges=shifted      206, but of a range (told as it is) that starts one byte later than asked for
    ranges=total        206 whose Content-Range has another total
    ranges=416          416 for every Range request
    ranges=multipart    206 with a multipart/byteranges body
    ranges=half         206 with only the first half of what was asked for
    ranges=unconditional  ignores If-Range: 206 even if the validator is another one
    length=D            Content-Length is D bytes off (the connection is closed after the file)
    length=none         no Content-Length, the end of the connection ends the body
    length=twice        two Content-Length fields that differ
    chunked=1           Transfer-Encoding: chunked
    encoding=NAME       Content-Encoding: NAME (the bytes stay as they are)
    part_encoding=NAME  the same for a 206 (empty: no such field)
    header=N            N bytes of extra header fields
  * garbage=1           answers something that is not HTTP
  * html=1              200 and a web page instead of the file
  * redirect=N          N redirects, each to this URL with one less, then the file
  * redirect=loop       redirects to itself for ever
  * to=URL              redirects there; {self} is this server's URL, {other} the same server as another host (localhost);
                        code=N with another status than 302
  What is sent
  * truncate=1          closes the connection (FIN) at byte `at`
  * reset=1             resets it (RST) at byte `at`
  * stall=S             sends nothing for S seconds at byte `at`, then closes
  * first_byte=S        waits S seconds before the answer's head
    rate=N              at most N bytes per second
    at=N                byte of the FILE (default: half of it); strikes only where the body contains it
    every=N             instead of at: N bytes into each body
  * corrupt=N           byte N of the file is another one
  * changed=1           every byte of the file is another one, and so is the ETag: the file was replaced
"""
import argparse
import base64
import email.utils
import hashlib
import json
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

CHUNK = 256 * 1024
log = []
strikes = {}
requests_seen = {}
lock = threading.Lock()


class Gone(Exception):
    """The connection is to be closed now."""


def queued(port, peer_port):
    """Bytes that the socket on `port` of this machine has still to send to `peer_port` there, and bytes that it has received and
    its owner has not read (proc_net_tcp.txt)."""
    with open("/proc/net/tcp") as file:
        for line in file.read().splitlines()[1:]:
            _, local, remote, _, queues = line.split()[:5]
            if (int(local.split(":")[1], 16), int(remote.split(":")[1], 16)) == (port, peer_port):
                return [int(bytes_, 16) for bytes_ in queues.split(":")]
    return 0, 0


class Connection:
    def __init__(self, sock, server):
        self.sock, self.server = sock, server
        self.file = sock.makefile("rb")

    def run(self):
        try:
            while self.one_request():
                pass
        except (Gone, OSError, ValueError):
            pass
        finally:
            self.file.close()
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def wait_until_read(self, seconds=3):
        """Until the client, which is on this machine, has read what was sent: a reset throws away what it has not."""
        here, there = self.sock.getsockname()[1], self.sock.getpeername()[1]
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            time.sleep(0.02)
            # In this order: what is sent has arrived, and what has arrived was read.
            if not queued(here, there)[0] and not queued(there, here)[1]:
                return

    def reset(self):
        raw = self.sock
        if isinstance(raw, ssl.SSLSocket):
            raw = socket.socket(fileno=raw.detach())
            self.sock = raw
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.file.close()  # it holds the descriptor as well
        raw.close()
        raise Gone

    # Requests.

    def one_request(self):
        if self.file.peek(1)[:1] == b"\x16":  # a TLS client
            self.send(b"HTTP/1.1 400 This Is Http\r\nContent-Length: 0\r\n\r\n")
            return False
        line = self.file.readline(65536).decode("latin-1").strip()
        if not line:
            return False
        method, target, _ = line.split(" ", 2)
        headers = {}
        while True:
            field = self.file.readline(65536).decode("latin-1").strip()
            if not field:
                break
            name, _, value = field.partition(":")
            headers[name.lower()] = value.strip()
        self.entry = {"method": method, "target": target, "headers": headers, "status": 0,
                      "proxied": method == "CONNECT" or "://" in target}
        parts = urllib.parse.urlsplit(target)
        self.path, self.headers, self.method = urllib.parse.unquote(parts.path), headers, method
        self.entry["path"], self.entry["query"] = self.path, parts.query
        self.q = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        self.key = parts.path + "?" + parts.query
        if self.path == "/_log":
            return self.answer_log()
        with lock:
            log.append(self.entry)
        if self.entry["proxied"] and self.server.proxy_auth:
            if headers.get("proxy-authorization") != self.basic(self.server.proxy_auth):
                return self.simple(407, [("Proxy-Authenticate", 'Basic realm="proxy"')])
        if method == "CONNECT":
            return self.tunnel(target)
        if method not in ("GET", "HEAD"):
            return self.simple(405)
        return self.get()

    @staticmethod
    def basic(credentials):
        return "Basic " + base64.b64encode(credentials.encode()).decode()

    def answer_log(self):
        with lock:
            body = "".join(json.dumps(entry) + "\n" for entry in log).encode()
            if "clear" in self.q:
                log.clear()
                strikes.clear()
                requests_seen.clear()
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return True

    def tunnel(self, target):
        port = int(target.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as other:
            self.entry["status"] = 200
            self.send(b"HTTP/1.1 200 Connected\r\n\r\n")
            pair = {self.sock: other, other: self.sock}
            while True:
                for ready in select.select(list(pair), [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return False
                    pair[ready].sendall(data)

    def simple(self, status, fields=(), body=b"no\n"):
        self.entry["status"] = status
        head = [f"HTTP/1.1 {status} Said So", f"Content-Length: {len(body)}", "Date: " + email.utils.formatdate(usegmt=True)]
        head += [f"{name}: {value}" for name, value in fields]
        self.send(("\r\n".join(head) + "\r\n\r\n").encode() + (b"" if self.method == "HEAD" else body))
        return True

    def strikes_now(self):
        """Whether this request is one of those that faults are for; not yet counted."""
        with lock:
            seen = requests_seen[self.key] = requests_seen.get(self.key, 0) + 1
            if seen <= int(self.q.get("after", 0)):
                return False
            return "times" not in self.q or strikes.get(self.key, 0) < int(self.q["times"])

    def strike(self):
        with lock:
            strikes[self.key] = strikes.get(self.key, 0) + 1

    # Files.

    def get(self):
        q = self.q
        self.faulty = self.strikes_now()
        if self.faulty and "first_byte" in q:
            self.strike()
            self.wait(float(q["first_byte"]))
        if "auth" in q and self.headers.get("authorization") != self.basic(q["auth"]):
            return self.simple(401, [("WWW-Authenticate", 'Basic realm="files"')])
        if "bearer" in q and self.headers.get("authorization") != "Bearer " + q["bearer"]:
            return self.simple(401, [("WWW-Authenticate", "Bearer")])
        if self.faulty and "status" in q:
            self.strike()
            return self.simple(int(q["status"]), [("Retry-After", q["retry_after"])] if "retry_after" in q else [])
        if self.faulty and "garbage" in q:
            self.strike()
            self.send(b"\x16\x03\x01 SMTP ready, what do you want?\r\n" * 20)
            return False
        if self.faulty and ("redirect" in q or "to" in q):
            if self.redirect():
                return True
        path = os.path.realpath(os.path.join(self.server.directory, self.path.lstrip("/")))
        if not path.startswith(os.path.realpath(self.server.directory) + "/") or not os.path.isfile(path):
            return self.simple(404)
        with open(path, "rb") as body:
            return self.send_file(body, os.fstat(body.fileno()))

    def redirect(self):
        q = dict(self.q)
        if "to" in q:
            port = self.server.port
            to = q["to"].replace("{self}", self.server.url).replace("{other}", f"{self.server.scheme}://localhost:{port}")
        elif q["redirect"] == "loop":
            to = self.path + "?" + urllib.parse.urlencode(q)
        elif int(q["redirect"]) > 0:
            q["redirect"] = str(int(q["redirect"]) - 1)
            to = self.path + "?" + urllib.parse.urlencode(q)
        else:
            return False
        self.strike()
        return self.simple(int(q.get("code", 302)), [("Location", to)])

    def send_file(self, body, facts):
        q, size = self.q, facts.st_size
        if self.faulty and "html" in q:
            self.strike()
            return self.simple(200, [("Content-Type", "text/html")], b"<!DOCTYPE html><html><h1>Please log in</h1></html>\n")
        etag, modified = self.validators(facts)
        first, last, status, fields = 0, size - 1, 200, []
        asked = self.headers.get("range", "")
        ranges = q.get("ranges", "")
        wanted = self.headers.get("if-range")
        holds = wanted is None or wanted in (etag, modified) or ranges == "unconditional"
        if asked.startswith("bytes=") and "," not in asked and holds and ranges != "ignored":
            begin, _, end = asked[6:].partition("-")
            first = int(begin) if begin else max(0, size - int(end))
            last = min(int(end), size - 1) if begin and end else size - 1
            if ranges == "416" or first >= size:
                return self.simple(416, [("Content-Range", f"bytes */{size}")])
            if ranges == "multipart":
                part = f"--B\r\nContent-Range: bytes {first}-{first}/{size}\r\n\r\nx\r\n--B--\r\n".encode()
                return self.simple(206, [("Content-Type", "multipart/byteranges; boundary=B")], part)
            if ranges == "half":
                last = first + (last - first) // 2
            if ranges == "shifted":
                first = min(first + 1, last)
            status = 206
            fields.append(("Content-Range", f"bytes {first}-{last}/{size + (1 if ranges == 'total' else 0)}"))
        length = last - first + 1
        chunked = q.get("chunked") == "1"
        said = q.get("length", "")
        close = said not in ("", "twice")
        if chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        elif said != "none":
            off = int(said) if close else 0
            fields.append(("Content-Length", str(length + off)))
            if said == "twice":
                fields.append(("Content-Length", str(length + 1)))
        if close:
            fields.append(("Connection", "close"))
        if q.get("accept", "bytes") in ("bytes", "none"):
            fields.append(("Accept-Ranges", q.get("accept", "bytes")))
        if etag:
            fields.append(("ETag", etag))
        if modified:
            fields.append(("Last-Modified", modified))
        encoding = q.get("part_encoding" if status == 206 and "part_encoding" in q else "encoding")
        if encoding:
            fields.append(("Content-Encoding", encoding))
        fields += [(f"X-Filler-{i}", "x" * 1000) for i in range(int(q.get("header", 0)) // 1000)]
        self.entry["status"] = status
        head = [f"HTTP/1.1 {status} Here", "Date: " + email.utils.formatdate(usegmt=True)]
        self.send(("\r\n".join(head + [f"{n}: {v}" for n, v in fields]) + "\r\n\r\n").encode("latin-1"))
        if self.method != "HEAD":
            self.send_body(body, first, length, chunked, size)
        return not close

    def validators(self, facts):
        kind = self.q.get("etag", "strong")
        etag = '"' + hashlib.md5(f"{facts.st_ino} {facts.st_size} {facts.st_mtime_ns}".encode()).hexdigest()[:16] + '"'
        if self.faulty and self.q.get("changed") == "1":
            etag = '"changed-' + etag[1:]
        if kind == "changing":
            with lock:
                etag = f'"{requests_seen[self.key]}-{etag[1:]}'
        modified = self.q.get("modified", "old")
        stamp = email.utils.formatdate(time.time() if modified == "now" else 1_600_000_000, usegmt=True)
        return {"weak": "W/" + etag, "none": None}.get(kind, etag), None if modified == "none" else stamp

    def send_body(self, body, first, length, chunked, size):
        q = self.q
        fatal = next((name for name in ("truncate", "reset", "stall") if name in q), None) if self.faulty else None
        stop = None
        if fatal:
            stop = first + int(q["every"]) if "every" in q else int(q.get("at", size // 2))
            if not first <= stop < first + length:
                stop = None
        corrupt = int(q["corrupt"]) if self.faulty and "corrupt" in q else None
        changed = self.faulty and q.get("changed") == "1"
        rate = float(q["rate"]) if "rate" in q else None
        if changed or (corrupt is not None and first <= corrupt < first + length):
            self.strike()
        position, end = first, stop if stop is not None else first + length
        plain = not chunked and corrupt is None and not changed and rate is None and not isinstance(self.sock, ssl.SSLSocket)
        while position < end:
            n = min(CHUNK if not plain else 1 << 24, end - position)
            if rate:
                n = min(n, max(1, int(rate / 20)))
            if plain:
                n = os.sendfile(self.sock.fileno(), body.fileno(), position, n)
            else:
                data = bytearray(os.pread(body.fileno(), n, position))
                if changed:
                    data = bytearray(data.translate(bytes((i + 1) % 256 for i in range(256))))
                if corrupt is not None and position <= corrupt < position + n:
                    data[corrupt - position] ^= 0xFF
                self.send(b"%x\r\n" % n + data + b"\r\n" if chunked else data)
            position += n
            if rate:
                time.sleep(n / rate)
        if stop is not None:
            self.strike()
            if fatal == "reset":
                self.wait_until_read()
                self.reset()
            if fatal == "stall":
                self.wait(float(q["stall"]))
            raise Gone
        if chunked:
            self.send(b"0\r\nX-Trailer: ignored\r\n\r\n")

    def wait(self, seconds):
        """Sleeps, but not longer than the client stays."""
        if select.select([self.sock], [], [], seconds)[0]:
            raise Gone


class Server:
    def __init__(self, options):
        self.directory, self.proxy_auth = options.directory, options.proxy_auth
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", options.port))
        self.listener.listen(64)
        self.tls = None
        if options.tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*options.tls)
        self.port = self.listener.getsockname()[1]
        self.scheme = "https" if self.tls else "http"
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"

    def serve(self, sock):
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            sock.close()
            return
        Connection(sock, self).run()

    def run(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()


def end_with_stdin():
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--proxy-auth", metavar="USER:PASSWORD")
    parser.add_argument("--until-stdin-closes", action="store_true")
    options = parser.parse_args()
    server = Server(options)
    print(server.url, flush=True)
    if options.until_stdin_closes:
        threading.Thread(target=end_with_stdin, daemon=True).start()
    try:
        server.run()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
