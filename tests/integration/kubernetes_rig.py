"""A small Kubernetes API server for tests, over real HTTPS: the group management.loft.sh/v1 with osimages and sshkeys.

It follows the API's semantics as the Kubernetes documentation has them ("Kubernetes API Concepts", "Authenticating"):
list with limit and continue, resourceVersion, get, watch (chunked lines, bookmarks, timeoutSeconds, 410 after
compaction), Status objects for every refusal, tokens and client certificates as users, RBAC rules by verb and resource.
What was asked of it is in `requests`. Certificates are made with openssl.
"""
import base64
import copy
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

GROUP = "management.loft.sh"
API = f"/apis/{GROUP}/v1"
KINDS = {"osimages": "OSImage", "sshkeys": "SSHKey"}
VERBS = {"get", "list", "watch"}


class Certificates:
    """Two CAs, and what they signed, in `directory`."""

    def __init__(self, directory):
        self.dir = directory
        with open(self.path("ca.cnf"), "w") as config:
            config.write(f"""[ca]
default_ca = own
[own]
database = {directory}/index.txt
new_certs_dir = {directory}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
organizationName = optional
[req]
distinguished_name = dn
[dn]
[v3_ca]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
""")
        open(self.path("index.txt"), "w").close()
        for ca in ("ca", "other-ca"):
            self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                         f"/CN={ca}", "-days", "30", "-config", self.path("ca.cnf"), "-extensions", "v3_ca", "-keyout",
                         self.path(f"{ca}.key"), "-out", self.path(f"{ca}.crt"))

    def path(self, name):
        return os.path.join(self.dir, name)

    @staticmethod
    def openssl(*argv):
        done = subprocess.run(["openssl", *argv], capture_output=True, text=True)
        assert done.returncode == 0, f"openssl {' '.join(argv)}: {done.stderr}"

    def make(self, name, subject, san=None, ca="ca", expired=False):
        """NAME.crt and NAME.key; their paths."""
        key, crt, request = (self.path(f"{name}.{end}") for end in ("key", "crt", "csr"))
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject,
                     "-config", self.path("ca.cnf"), *(["-addext", f"subjectAltName={san}"] if san else []), "-keyout", key,
                     "-out", request)
        when = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"] if expired else ["-days", "30"]
        self.openssl("ca", "-batch", "-notext", "-config", self.path("ca.cnf"), "-cert", self.path(f"{ca}.crt"), "-keyfile",
                     self.path(f"{ca}.key"), *when, "-in", request, "-out", crt)
        return crt, key


def status(code, reason, message, details=None):
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "details": details or {}, "code": code}


class Gone(Exception):
    pass


class ApiServer:
    """Serves until stop(). All of its state may be changed while it runs, under `lock` where it is more than one word."""

    def __init__(self, certificate=None, client_ca=None, prefix=""):
        self.lock = threading.Condition()
        self.prefix = prefix
        self.version = 1000
        self.compacted = 0  # what is older than this is forgotten
        self.objects = {resource: {} for resource in KINDS}
        self.history = []  # (version, resource, type, object)
        self.tokens = {}  # token: user
        self.rules = {}  # user: {(verb, resource)}; a user who is not in it may do everything
        self.anonymous = False
        self.has_group = True
        self.crds = set(KINDS)
        self.items_have_kind = False  # as custom resources have it, and typed API servers do not
        self.gone_as_status = False  # of a watch: else as an ERROR event
        self.bookmark_every = 0.2
        self.watch_seconds = None  # ends watches earlier than they ask for
        self.faults = []  # answers for the next requests: (status, headers, body) or "close"
        self.on_page = None  # called after each page of a list, with the lock held
        self.requests = []  # (verb, path with query, headers, user)
        self.watching = 0
        self.cut = 0  # how often all watches were ended
        self.stopped = False
        owner = self

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request, client_address):
                # In the connection's own thread, so that one handshake holds up nobody else.
                if certificate:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(*certificate)
                    if client_ca:
                        context.verify_mode = ssl.CERT_OPTIONAL
                        context.load_verify_locations(client_ca)
                    request = context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                    try:
                        request.do_handshake()
                    except OSError:
                        # What the client has sent by now must not make the kernel reset the connection, which would
                        # take the alert away from it.
                        try:
                            request.shutdown(socket.SHUT_WR)
                            request.settimeout(5)
                            while request.recv(65536):
                                pass
                        except OSError:
                            pass
                        request.close()
                        return
                try:
                    self.RequestHandlerClass(request, client_address, self)
                except OSError:
                    pass
                finally:
                    request.close()

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), self._handler())
        self.port = self.server.server_address[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}{prefix}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        with self.lock:
            self.stopped = True
            self.lock.notify_all()
        self.server.shutdown()
        self.server.server_close()

    # What is stored.

    def put(self, resource, name, spec):
        with self.lock:
            self.version += 1
            known = self.objects[resource].get(name)
            stored = {
                "kind": KINDS[resource], "apiVersion": f"{GROUP}/v1",
                "metadata": {
                    "name": name, "uid": known["metadata"]["uid"] if known else f"00000000-0000-4000-8000-{self.version:012}",
                    "resourceVersion": str(self.version), "generation": 1,
                    "creationTimestamp": "2026-08-01T12:00:00Z",
                    "managedFields": [{"manager": "kubectl", "operation": "Update", "apiVersion": f"{GROUP}/v1",
                                       "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:displayName": {}}}}]},
                "spec": spec, "status": {}}
            self.objects[resource][name] = stored
            self.history.append((self.version, resource, "MODIFIED" if known else "ADDED", stored))
            self.lock.notify_all()

    def put_image(self, name, url="https://images.example/disk.img", **spec):
        checksum = "ab" * 32
        self.put("osimages", name, {
            "displayName": name, "owner": {"user": "admin"},
            "properties": {"metal3.vcluster.com/image-url": url, "metal3.vcluster.com/image-checksum": checksum,
                           "metal3.vcluster.com/image-checksum-type": "sha256"}, **spec})

    def put_key(self, name, public_key):
        self.put("sshkeys", name, {"displayName": name, "publicKey": public_key})

    def delete(self, resource, name):
        with self.lock:
            self.version += 1
            gone = copy.deepcopy(self.objects[resource].pop(name))
            gone["metadata"]["resourceVersion"] = str(self.version)
            self.history.append((self.version, resource, "DELETED", gone))
            self.lock.notify_all()

    def compact(self):
        """Forgets everything but what is there now: continue tokens and watches from before are gone."""
        with self.lock:
            self.version += 1
            self.compacted = self.version
            self.history.clear()

    def cut_watches(self):
        with self.lock:
            self.cut += 1
            self.lock.notify_all()

    def asked(self, verb):
        with self.lock:
            return [request for request in self.requests if request[0] == verb]

    # What is answered.

    def _page(self, resource, query):
        if query.get("continue"):
            token = json.loads(base64.urlsafe_b64decode(query["continue"]))
            version, after = token["rv"], token["start"]
            if version < self.compacted:
                raise Gone("The provided continue parameter is too old to display a consistent list result.")
        else:
            version, after = self.version, ""
        names = sorted(name for name in self.objects[resource] if name > after)
        limit = int(query.get("limit") or 0) or len(names)
        page, rest = names[:limit], names[limit:]
        metadata = {"resourceVersion": str(version)}
        if rest:
            token = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": page[-1]})
            metadata |= {"continue": base64.urlsafe_b64encode(token.encode()).decode(), "remainingItemCount": len(rest)}
        items = [copy.deepcopy(self.objects[resource][name]) for name in page]
        if not self.items_have_kind:
            for item in items:
                del item["kind"], item["apiVersion"]
        answer = {"kind": KINDS[resource] + "List", "apiVersion": f"{GROUP}/v1", "metadata": metadata, "items": items}
        if self.on_page:
            self.on_page(query)
        return answer

    def _handler(self):
        rig = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def log_message(self, *args):
                pass

            def send(self, code, body, headers=None):
                text = body if isinstance(body, bytes) else json.dumps(body).encode() + b"\n"
                self.send_response(code)
                self.send_header("Content-Type", "application/json" if not isinstance(body, bytes) else "text/plain")
                self.send_header("Content-Length", str(len(text)))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def user(self):
                header = self.headers.get("Authorization", "")
                if header:
                    return rig.tokens.get(header.removeprefix("Bearer "))
                if isinstance(self.connection, ssl.SSLSocket):
                    peer = self.connection.getpeercert()
                    if peer:
                        return dict(pair[0] for pair in peer["subject"])["commonName"]
                return "system:anonymous" if rig.anonymous else None

            def do_GET(self):
                if rig.stopped:  # connections that were kept end with their server
                    self.close_connection = True
                    return
                parts = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(parts.query))
                words = parts.path.removeprefix(rig.prefix + API).strip("/").split("/")
                verb = "watch" if query.get("watch") else "get" if len(words) > 1 else "list"
                with rig.lock:
                    user = self.user()
                    rig.requests.append((verb, self.path, dict(self.headers), user))
                    fault = rig.faults.pop(0) if rig.faults else None
                if fault == "close":
                    self.close_connection = True
                    return
                if fault:
                    self.send(fault[0], fault[2], fault[1])
                    return
                if user is None:
                    self.send(401, status(401, "Unauthorized", "Unauthorized"))
                    return
                if not parts.path.startswith(rig.prefix + API + "/") or not rig.has_group:
                    self.send(404, b"404 page not found\n")
                    return
                resource, name = words[0], words[1] if len(words) > 1 else None
                details = {"group": GROUP, "kind": resource, **({"name": name} if name else {})}
                if user in rig.rules and (verb, resource) not in rig.rules[user]:
                    shown = f' "{name}"' if name else ""
                    self.send(403, status(403, "Forbidden",
                                          f'{resource}.{GROUP}{shown} is forbidden: User "{user}" cannot {verb} resource '
                                          f'"{resource}" in API group "{GROUP}" at the cluster scope', details))
                    return
                if resource not in rig.crds:
                    self.send(404, status(404, "NotFound", "the server could not find the requested resource"))
                    return
                if verb == "watch":
                    self.watch(resource, query)
                    return
                with rig.lock:
                    code, answer = 200, None
                    try:
                        if verb == "list":
                            answer = rig._page(resource, query)
                        elif name in rig.objects[resource]:
                            answer = copy.deepcopy(rig.objects[resource][name])
                        else:
                            code, answer = 404, status(404, "NotFound", f'{resource}.{GROUP} "{name}" not found', details)
                    except Gone as gone:
                        code, answer = 410, status(410, "Expired", str(gone))
                self.send(code, answer)

            def chunk(self, event):
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()

            def watch(self, resource, query):
                at = int(query.get("resourceVersion") or 0)
                with rig.lock:
                    old = at < rig.compacted
                    cut = rig.cut
                too_old = status(410, "Expired", f"too old resource version: {at} ({rig.compacted})")
                if old and rig.gone_as_status:
                    self.send(410, too_old)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                if old:
                    self.chunk({"type": "ERROR", "object": too_old})
                    self.wfile.write(b"0\r\n\r\n")
                    return
                end = time.monotonic() + min(float(query.get("timeoutSeconds") or 300), rig.watch_seconds or 300)
                bookmark = time.monotonic() + rig.bookmark_every
                with rig.lock:
                    rig.watching += 1
                try:
                    while time.monotonic() < end:
                        with rig.lock:
                            if rig.stopped or rig.cut != cut:
                                break
                            events = [event for event in rig.history if event[0] > at and event[1] == resource]
                            version = rig.version
                            if not events:
                                rig.lock.wait(0.05)
                        for event in events:
                            self.chunk({"type": event[2], "object": event[3]})
                            at = event[0]
                        if query.get("allowWatchBookmarks") == "true" and time.monotonic() > bookmark and not events:
                            bookmark = time.monotonic() + rig.bookmark_every
                            at = max(at, version)
                            self.chunk({"type": "BOOKMARK", "object": {
                                "kind": KINDS[resource], "apiVersion": f"{GROUP}/v1",
                                "metadata": {"resourceVersion": str(at), "creationTimestamp": None}, "spec": {}, "status": {}}})
                    self.wfile.write(b"0\r\n\r\n")
                finally:
                    with rig.lock:
                        rig.watching -= 1

        return Handler


def kubeconfig(path, server, user, **cluster):
    """Writes a kubeconfig with one context (JSON is YAML); `user` and `cluster` are what kubectl writes there."""
    with open(path, "w") as file:
        json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "test",
                   "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
                   "users": [{"name": "u", "user": user}],
                   "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}]}, file)
    os.chmod(path, 0o600)
    return path
