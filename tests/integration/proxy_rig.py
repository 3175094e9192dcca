"""A real nginx with a configuration of its own, in front of a server: what is between conductor and agent in a platform."""
import os
import socket
import subprocess
import tempfile
import time

import ironic_rig
from rig import sh

CONFIGURATION = """
daemon off;
worker_processes 1;
user root;
pid {state}/nginx.pid;
error_log {state}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format whole '$server_port $request_method $uri $status $connection';
  access_log {state}/access.log whole;
  client_body_temp_path {state}/body;
  proxy_temp_path {state}/proxy;
  fastcgi_temp_path {state}/fastcgi;
  uwsgi_temp_path {state}/uwsgi;
  scgi_temp_path {state}/scgi;
{http}
}}
"""


class Nginx:
    """Runs `http`, directives of that block, whose servers listen at `ports` of loopback; until the test ends."""

    def __init__(self, case, http, *ports):
        self.state = tempfile.mkdtemp(prefix="proxy-", dir=case.dir)
        configuration = os.path.join(self.state, "nginx.conf")
        with open(configuration, "w") as file:
            file.write(CONFIGURATION.format(state=self.state, http=http))
        errors = os.path.join(self.state, "error.log")
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "nginx", "-c", configuration, "-e", errors],
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        case.addCleanup(ironic_rig.end, self.process, group=True)
        give_up = time.monotonic() + 30
        for port in ports:
            while True:
                with socket.socket() as trial:
                    # It writes its number once the ports are its own; until then another server may answer there.
                    if os.path.exists(os.path.join(self.state, "nginx.pid")) and trial.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if self.process.poll() is not None or time.monotonic() > give_up:
                    with open(errors) as file:
                        raise AssertionError(f"nginx does not answer at {port}: {file.read()}")
                time.sleep(0.05)

    def requests(self, port):
        """(method, path, status, connection) of each that came in there, without queries: they have tokens."""
        with open(os.path.join(self.state, "access.log")) as file:
            lines = [line.split(" ") for line in file.read().splitlines()]
        return [(method, path, int(status), connection) for at, method, path, status, connection in lines if int(at) == port]


def self_signed(case, name):
    """Paths of a certificate for 127.0.0.1 that nobody vouches for, and its key."""
    certificate, key = case.path(f"{name}.crt"), case.path(f"{name}.key")
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
       f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate)
    return certificate, key


def issued(case, name):
    """Paths of a certificate for 127.0.0.1, its key, and the CA that vouches for it."""
    ca, ca_key = case.path(f"{name}-ca.crt"), case.path(f"{name}-ca.key")
    certificate, key, request, more = (case.path(f"{name}.{end}") for end in ("crt", "key", "csr", "ext"))
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    sh("openssl", "req", "-x509", *new, "-days", "2", "-subj", f"/CN={name} CA", "-keyout", ca_key, "-out", ca)
    sh("openssl", "req", *new, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    with open(more, "w") as file:
        file.write("subjectAltName=IP:127.0.0.1\n")
    sh("openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "1",
       "-extfile", more, "-out", certificate)
    return certificate, key, ca
