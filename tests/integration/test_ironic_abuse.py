#!/usr/bin/python3
"""`ingot agent` listens where anybody may come by: ten thousand requests that are hostile, malformed or slow, from several
connections at once. It answers each as it should or closes the connection, stays in its memory, and goes on with its
heartbeats. Needs root (a loop device is its only disk)."""
import collections
import json
import os
import random
import socket
import ssl
import struct
import threading
import time
import unittest

import agent_rig
import rig
from rig import MIB

REQUESTS = 10_000
THREADS = 6
# Connections that are held open without an end; with those of the threads well below what the agent takes (64).
HELD = 24
GROWTH = 8 * MIB
HEARTBEAT_TIMEOUT = 10


class Answers:
    """The answers that come over one connection."""

    def __init__(self, sock):
        self.file = sock.makefile("rb")

    def next(self):
        """Status of the next answer; None when the connection is closed instead. Anything else fails."""
        try:
            line = self.file.readline(200)
            if not line:
                return None
            version, status = line.split(b" ", 2)[:2]
            if not version.startswith(b"HTTP/1."):
                raise AssertionError(f"no status line: {line!r}")
            fields = {}
            while (line := self.file.readline(10_000)) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                fields[name.strip().lower()] = value.strip()
            body = self.file.read(int(fields.get(b"content-length", b"0")))
        except ConnectionError:
            return None
        if int(status) >= 400 and body:
            fault = json.loads(body)
            if set(fault) != {"faultcode", "faultstring"} or not isinstance(fault["faultstring"], str):
                raise AssertionError(f"{status}: {body!r}")
        return int(status)


class Attacker:
    """One thread's attacks, chosen by its own generator of numbers. Each is a function that returns what was answered and
    what may be."""

    def __init__(self, port, token, seed, connect=None):
        self.port = port
        self.token = token.encode()
        self.rng = random.Random(seed)
        self.connect = connect or self.plain
        self.attacks = [self.bad_json, self.deep_json, self.wrong_token, self.pipelined, self.random_bytes, self.odd_head,
                        self.huge_without_token, self.huge_with_token, self.long_head, self.reset, self.cut_short, self.odd_body,
                        self.good, self.odd_path]

    def plain(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def send(self, *parts, answers=1):
        with self.connect() as sock:
            for part in parts:
                try:
                    sock.sendall(part)
                except ConnectionError:
                    break  # it has answered already, or closed
            told = Answers(sock)
            return [told.next() for _ in range(answers)]

    def post(self, body, token=None, length=None, more=b""):
        token = self.token if token is None else token
        length = len(body) if length is None else length
        return (b"POST /v1/commands/?wait=false&agent_token=" + token + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n%s\r\n" % (length, more) + body)

    def noise(self, most):
        return self.rng.randbytes(self.rng.randrange(1, most))

    def bad_json(self):
        text = self.rng.choice([b"", b"{", b"}", b'{"name":', b'{"name": "standby.sync", "params": {}} x', b"nul", b'"\xff\xfe"',
                                b'{"name": "standby.sync"}', b'{"name": {}, "params": {}}', b"[1e999999]", b'{"params": 1e309}',
                                b'{"name": "a", "params": {}}', b'{"name": "\\ud800.x", "params": {}}', self.noise(2000)])
        return self.send(self.post(text)), [(400,)] if b"ud800" not in text else [(400, 404)]

    def deep_json(self):
        depth = self.rng.randrange(100, 200_000)
        text = self.rng.choice([b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth,
                                b'{"name": "standby.sync", "params": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"])
        # Beyond 1 MiB one at a time is read.
        return self.send(self.post(text)), [(400, 503)] if len(text) > MIB else [(400,)]

    def wrong_token(self):
        token = self.rng.choice([b"", b"x", self.token[:-1], self.token + b"x", b"%00" * 40, b"A" * 5000, self.token.swapcase(), b"%zz"])
        if self.rng.random() < 0.5:
            return self.send(self.post(b'{"name": "standby.power_off", "params": {}}', token)), [(400, 401)]
        return self.send(b"GET /v1/commands/?agent_token=" + token + b" HTTP/1.1\r\nHost: x\r\n\r\n"), [(400, 401)]

    def pipelined(self):
        ask = {200: b"GET /v1/commands/ HTTP/1.1\r\nHost: x\r\n\r\n", 404: b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
               405: b"DELETE /v1/commands/ HTTP/1.1\r\nHost: x\r\n\r\n", 401: b"GET /v1/commands/?agent_token=x HTTP/1.1\r\nHost: x\r\n\r\n"}
        wanted = [self.rng.choice(list(ask)) for _ in range(self.rng.randrange(2, 12))]
        return self.send(b"".join(ask[status] for status in wanted), answers=len(wanted)), [(status,) for status in wanted]

    def random_bytes(self):
        return self.send(self.noise(4000) + b"\r\n\r\n"), [(400,)]

    def odd_head(self):
        head = self.rng.choice([
            b"GET\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / FTP/1.1\r\n\r\n", b"\r\n\r\n\r\nX\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nHost x\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nA\x00B: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self.noise(200) + b"\r\n\r\n",
            b"GET / HTTP/1.1\nHost: x\n\n\r\n\r\n"])
        return self.send(head), [(400,)]

    def odd_body(self):
        token = self.token
        start = b"POST /v1/commands/?agent_token=" + token + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        request = self.rng.choice([
            start + b"Content-Length: -1\r\n\r\n", start + b"Content-Length: 99999999999999999999999\r\n\r\n",
            start + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   x", start + b"Content-Length: x\r\n\r\n",
            start + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", start + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            start + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}X\r\n0\r\n\r\n",
            start + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n{\r\n" * 3000 + b"0\r\n\r\n",
            start + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            start + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"])
        return self.send(request), [(400,)]

    def huge_without_token(self):
        # Announced, partly sent, never awaited.
        return self.send(self.post(b"x" * 70_000, token=b"nobody", length=1 << 40)), [(401,)]

    def huge_with_token(self):
        if self.rng.random() < 0.02:
            return self.send(self.post(b"[" + b" " * self.rng.randrange(MIB, 6 * MIB))), [(400, 503)]
        return self.send(self.post(b"", length=self.rng.choice([97 << 20, 1 << 31, 1 << 40, (1 << 63) - 1]))), [(413,)]

    def long_head(self):
        head = self.rng.choice([b"GET /" + b"a" * 40_000, b"GET / HTTP/1.1\r\nX: " + b"b" * 40_000,
                                b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(5000)), b"A" * 40_000])
        return self.send(head + b" HTTP/1.1\r\n\r\n"), [(431,)]

    def reset(self):
        with self.connect() as sock:
            sock.sendall(self.rng.choice([b"G", b"GET / HTTP/1.1\r\n", self.post(b"{", length=1000), b"GET / HTTP/1.1\r\n\r\n"]))
            if self.rng.random() < 0.7:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return [], []

    def cut_short(self):
        with self.connect() as sock:
            sock.sendall(self.rng.choice([b"", b"GET / HT", self.post(b'{"name"', length=500), b"POST /v1/commands/ HTTP/1.1\r\nContent-Le"]))
            sock.shutdown(socket.SHUT_WR)
            return [Answers(sock).next()], [(None,)]

    def odd_path(self):
        path = self.rng.choice([b"/../../etc/passwd", b"/v1/commands/../status", b"/%2e%2e/", b"//", b"*", b"http://x/v1/status", b"/\xff\xfe",
                                b"/v1/commands/" + b"a" * 3000, b"/%00", b"/v1/commands/%s", b"/?" + b"&" * 3000, b"/v1/status/x/y", b"x",
                                b"/v1/commands/00000000-0000-4000-8000-000000000000"])
        method = self.rng.choice([b"GET", b"HEAD", b"PUT", b"TRACE", b"CONNECT", b"FROB", b"OPTIONS"])
        got = self.send(method + b" " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return got, [(200, 308, 400, 404, 405)]

    def good(self):
        path, status = self.rng.choice([(b"/v1/status", 200), (b"/", 200), (b"/v1/", 200), (b"/v1/commands/", 200),
                                        (b"/v1/commands/?agent_token=" + self.token, 200)])
        return self.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), [(status,)]


class Abuse(rig.Case):
    def boot(self, protocol="http"):
        self.device = self.loop(16 * MIB, fill=1)
        self.fake = agent_rig.FakeIronic(self, heartbeat_timeout=HEARTBEAT_TIMEOUT)
        self.agent = agent_rig.Agent(self, self.fake.url, self.device, "52:54:00:aa:00:02", protocol=protocol)
        self.fake.wait_for_heartbeats(1)

    def attack(self, attackers, count):
        """Each in its own thread until `count` attacks have been made; what was answered otherwise than it may be."""
        wrong, counts, lock = [], collections.Counter(), threading.Lock()
        left = iter(range(count))

        def run(attacker):
            while True:
                with lock:
                    if next(left, None) is None or len(wrong) > 20:
                        return
                attack = attacker.rng.choice(attacker.attacks)
                try:
                    got, allowed = attack()
                    good = all(status in may for status, may in zip(got, allowed, strict=True))
                    text = f"{attack.__name__}: {got}, not {allowed}"
                except Exception as error:  # a thread of a test must not end in silence
                    good, text = False, f"{attack.__name__}: {error!r}"
                with lock:
                    counts[attack.__name__] += 1
                    if not good:
                        wrong.append(text)

        threads = [threading.Thread(target=run, args=(attacker,)) for attacker in attackers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [], f"{wrong}\n{self.agent.log()[-4000:]}")
        self.assertEqual(set(counts), {attack.__name__ for attack in attackers[0].attacks})
        return counts

    def hold(self):
        """Connections that say nothing, or something without an end."""
        for index in range(HELD):
            sock = socket.create_connection(("127.0.0.1", self.agent.port), timeout=60)
            self.addCleanup(sock.close)
            sock.sendall((b"", b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"POST /v1/commands/?agent_token=" + self.fake.token.encode() +
                          b" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")[index % 3])
            yield sock

    def trickle(self, sockets, stop):
        """A byte now and then: a time-out is for the whole, and not for each byte."""
        while not stop.wait(1):
            for sock in sockets[1::3]:
                try:
                    sock.sendall(b"a")
                except OSError:
                    pass

    def test_ten_thousand(self):
        self.boot()
        before, whole_disk = self.agent.resident(), self.head(self.device, 16 * MIB)
        held = list(self.hold())
        stop = threading.Event()
        trickling = threading.Thread(target=self.trickle, args=(held, stop))
        trickling.start()
        begin = time.monotonic()
        try:
            attackers = [Attacker(self.agent.port, self.fake.token, seed) for seed in range(THREADS)]
            counts = self.attack(attackers, REQUESTS)
            seconds = time.monotonic() - begin
            # Slow ones are closed, or told 408, while others are served.
            for index, sock in enumerate(held):
                sock.settimeout(90)
                if index % 3 == 1:
                    self.assertIn(Answers(sock).next(), (408, None))
        finally:
            stop.set()
            trickling.join()
        print(f"{sum(counts.values())} attacks in {seconds:.0f} s: {dict(counts)}")
        self.assertIsNone(self.agent.process.poll(), self.agent.log()[-4000:])
        for sock in held:
            sock.close()
        give_up = time.monotonic() + 10
        while (after := self.agent.resident()) > before + GROWTH and time.monotonic() < give_up:
            time.sleep(0.2)
        print(f"resident: {before >> 10} KiB before, {after >> 10} KiB after")
        self.assertLess(after, before + GROWTH)
        self.on_schedule()
        # Nothing was done, and the next conductor is served.
        self.assertEqual(self.head(self.device, 16 * MIB), whole_disk)
        status, _, answer = self.agent.request("GET", "/v1/commands/")
        self.assertEqual((status, answer), (200, {"commands": []}))
        status, _, answer = self.agent.request("POST", f"/v1/commands/?wait=true&agent_token={self.fake.token}",
                                               {"name": "standby.get_partition_uuids", "params": {}})
        self.assertEqual((status, answer["command_status"]), (200, "SUCCEEDED"))
        # What strangers sent is not what fills a log.
        self.assertLess(os.path.getsize(self.agent.log_path), MIB)
        self.assertNotIn(self.fake.token, self.agent.log())

    def on_schedule(self):
        times = [when for when, _ in self.fake.heartbeats]
        self.assertGreaterEqual(len(times), 2)
        gaps = [b - a for a, b in zip(times, times[1:])] + [time.monotonic() - times[-1]]
        self.assertLess(max(gaps), 0.6 * HEARTBEAT_TIMEOUT + 4, gaps)
        self.assertEqual(self.fake.refused, [])

    def test_against_tls(self):
        self.boot("https")
        before = self.agent.resident()
        context = ssl._create_unverified_context()
        raw = Attacker(self.agent.port, self.fake.token, 1)

        def encrypted():
            return context.wrap_socket(socket.create_connection(("127.0.0.1", self.agent.port), timeout=30))

        inside = Attacker(self.agent.port, self.fake.token, 2, connect=encrypted)
        inside.attacks = [inside.bad_json, inside.wrong_token, inside.pipelined, inside.huge_without_token, inside.good, inside.odd_path]
        self.attack([inside], 300)
        rng = random.Random(3)
        for _ in range(500):
            with raw.connect() as sock:
                sock.settimeout(30)
                noise = rng.choice([rng.randbytes(500), b"\x16\x03\x01" + rng.randbytes(300), b"GET /v1/commands/ HTTP/1.1\r\n\r\n", b""])
                try:
                    sock.sendall(noise)
                    sock.shutdown(socket.SHUT_WR)
                    told = sock.recv(1000)
                except ConnectionError:
                    continue
                # An alert at most.
                self.assertFalse(told.startswith(b"HTTP"), told)
        self.assertIsNone(self.agent.process.poll(), self.agent.log())
        self.assertLess(self.agent.resident(), before + GROWTH)
        self.assertEqual(self.agent.request("GET", "/v1/commands/")[0], 200)


class Leaving(rig.Case):
    """What the agent leaves alone, and how it leaves."""

    def boot(self, within):
        fake = agent_rig.FakeIronic(self, heartbeat_timeout=HEARTBEAT_TIMEOUT)
        agent = agent_rig.Agent(self, fake.url, self.loop(16 * MIB), "52:54:00:aa:00:03", within=within)
        fake.wait_for_heartbeats(1)
        return agent, f"/v1/commands/?wait=true&agent_token={fake.token}"

    def test_firmware_memory_stays(self):
        agent, commands = self.boot(["unshare", "--mount", "sh", "-c",
                                     'mount -t tmpfs none /sys/fs/pstore && touch /sys/fs/pstore/dmesg-1 && exec "$@"', "sh"])
        step = {"interface": "deploy", "step": "erase_pstore", "args": None}
        status, _, answer = agent.request("POST", commands, {"name": "clean.execute_clean_step", "params": {"step": step, "node": {}}})
        self.assertEqual((status, answer["command_status"]), (200, "SUCCEEDED"), answer)
        self.assertEqual(os.listdir(f"/proc/{agent.process.pid}/root/sys/fs/pstore"), ["dmesg-1"])

    def test_stops_while_it_collects_logs(self):
        """A request that waits for its command does not keep the agent from ending."""
        programs = self.path("programs")
        os.mkdir(programs)
        for name in ("df", "dmesg", "lsblk", "mount", "ps"):
            with open(os.path.join(programs, name), "w") as file:
                file.write("#!/bin/sh\nexec sleep 60\n")
            os.chmod(os.path.join(programs, name), 0o755)
        agent, commands = self.boot(["env", f"PATH={programs}:{os.environ['PATH']}"])
        connection = agent.connection()
        self.addCleanup(connection.close)
        connection.request("POST", commands, json.dumps({"name": "log.collect_system_logs", "params": {}}))
        time.sleep(1)
        begin = time.monotonic()
        agent.process.terminate()
        agent.wait()
        self.assertLess(time.monotonic() - begin, 15, agent.log())


if __name__ == "__main__":
    unittest.main()
