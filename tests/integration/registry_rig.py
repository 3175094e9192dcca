"""Registries for tests: a real one (Debian's docker-registry), with every kind of authorization it has, and a client that
pushes to it as the OCI Distribution Specification says.

The token server is ours, since a registry has none: it signs tokens as the registry wants them (Distribution's "Token
Authentication Specification"), with openssl. So is ForgetfulRegistry, which has the faults that a real one has only with
luck.
"""
import base64
import crypt
import hashlib
import http.server
import json
import os
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from ironic_rig import free_port

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
USER, PASSWORD = "robot", "s3cr3t-pa:ss"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*argv, **kwargs):
    return subprocess.run(["openssl", *argv], check=True, capture_output=True, **kwargs).stdout


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.requests = []  # (path with query, Authorization)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def stop(self):
        self.shutdown()
        self.server_close()


class TokenServer(Server):
    """Gives everybody who has the password, or everybody, a token for what is asked."""

    def __init__(self, directory, anonymous=True):
        self.anonymous = anonymous
        self.key, self.certificate = os.path.join(directory, "token.key"), os.path.join(directory, "token.crt")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tokens", "-days", "30", "-keyout", self.key,
                "-out", self.certificate)
        self.der = openssl("x509", "-in", self.certificate, "-outform", "DER")
        super().__init__(TokenHandler)

    def token(self, scope):
        kind, name, actions = scope.split(":")
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(self.der).decode()]}
        claims = {"iss": "tests", "sub": "", "aud": "registry", "exp": now + 300, "nbf": now - 10, "iat": now, "jti": str(now),
                  "access": [{"type": kind, "name": name, "actions": actions.split(",")}]}
        text = ".".join(base64url(json.dumps(part).encode()) for part in (head, claims))
        return text + "." + base64url(openssl("dgst", "-sha256", "-sign", self.key, input=text.encode()))


class TokenHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        given = self.headers.get("Authorization")
        self.server.requests.append((self.path, given))
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        right = given == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if not (right or (self.server.anonymous and given is None)) or query.get("service") != "registry":
            self.send_error(401)
            return
        body = json.dumps({"token": self.server.token(query["scope"]), "expires_in": 300}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Registry:
    """docker-registry on loopback, with a storage in `directory` that may be shared. `auth`: None, "htpasswd" or a
    TokenServer. `tls`: (certificate, key)."""

    def __init__(self, directory, auth=None, tls=None):
        self.port = free_port()
        self.scheme = "https" if tls else "http"
        self.host = f"127.0.0.1:{self.port}"
        self.storage = os.path.join(directory, "storage")
        state = tempfile.mkdtemp(prefix="registry-", dir=directory)
        server = {"addr": self.host, "secret": "tests"}
        if tls:
            server["tls"] = {"certificate": tls[0], "key": tls[1]}
        config = {"version": "0.1", "log": {"level": "error", "accesslog": {"disabled": True}}, "http": server,
                  "storage": {"filesystem": {"rootdirectory": self.storage}}}
        if auth == "htpasswd":
            path = os.path.join(state, "htpasswd")
            with open(path, "w") as file:
                file.write(f"{USER}:{crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n")
            config["auth"] = {"htpasswd": {"realm": "tests", "path": path}}
        elif auth:
            config["auth"] = {"token": {"realm": auth.url + "/token", "service": "registry", "issuer": "tests",
                                        "rootcertbundle": auth.certificate}}
        with open(os.path.join(state, "config.json"), "w") as file:
            json.dump(config, file)  # which is YAML as well
        self.log = open(os.path.join(state, "log"), "wb")
        self.process = subprocess.Popen(["docker-registry", "serve", file.name], stdout=self.log, stderr=self.log)
        self.wait()

    def wait(self):
        import socket
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    with open(self.log.name) as log:
                        raise AssertionError("docker-registry does not start: " + log.read()) from None
                time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)
        self.log.close()

    def reference(self, name, scheme=None):
        return f"{scheme or ('oci' if self.scheme == 'https' else 'oci+http')}://{self.host}/{name}"

    # Pushing, without authorization.

    def request(self, method, url, body=None, **headers):
        request = urllib.request.Request(url, data=body, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.headers

    def blob(self, repository, data):
        """Pushes a blob; its descriptor without a media type."""
        start = self.request("POST", f"http://{self.host}/v2/{repository}/blobs/uploads/", b"")["Location"]
        url = start + ("&" if "?" in start else "?") + urllib.parse.urlencode({"digest": sha256(data)})
        self.request("PUT", url, data, Content_Type="application/octet-stream")
        return {"digest": sha256(data), "size": len(data)}

    def manifest(self, repository, tag, manifest):
        """Pushes it, under `tag` or, without one, its digest; its descriptor."""
        data = json.dumps(manifest).encode()
        self.request("PUT", f"http://{self.host}/v2/{repository}/manifests/{tag or sha256(data)}", data,
                     Content_Type=manifest["mediaType"])
        return {"mediaType": manifest["mediaType"], "digest": sha256(data), "size": len(data)}

    def artifact(self, repository, tag, data, title="disk.qcow2"):
        """A file as ORAS pushes it."""
        empty = {"mediaType": "application/vnd.oci.empty.v1+json", **self.blob(repository, b"{}")}
        layer = {"mediaType": "application/octet-stream", **self.blob(repository, data),
                 "annotations": {"org.opencontainers.image.title": title}}
        return self.manifest(repository, tag, {"schemaVersion": 2, "mediaType": MANIFEST, "config": empty,
                                               "artifactType": "application/vnd.example.disk", "layers": [layer]})

    def container_disk(self, repository, tag, *layers):
        """An image of packed tar files, as `docker build` pushes it."""
        config = {"mediaType": "application/vnd.docker.container.image.v1+json",
                  **self.blob(repository, b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}')}
        return self.manifest(repository, tag, {
            "schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config,
            "layers": [{"mediaType": DOCKER_LAYER, **self.blob(repository, data)} for data in layers]})

    def stored(self, digest):
        """The file that holds a blob or manifest."""
        kind, value = digest.split(":")
        return os.path.join(self.storage, "docker/registry/v2/blobs", kind, value[:2], value, "data")


class ForgetfulRegistry(Server):
    """A registry of one image whose tokens hold for one answer, and which breaks off the image after `break_at` bytes, once,
    and sends clients to `elsewhere` for it if that is set."""

    def __init__(self, data, break_at=None, elsewhere=None):
        self.data, self.break_at, self.elsewhere = data, break_at, elsewhere
        self.tokens = 0
        self.image = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": {},
                                 "layers": [{"mediaType": "application/octet-stream", "digest": sha256(data),
                                             "size": len(data)}]}).encode()
        super().__init__(ForgetfulHandler)

    @property
    def reference(self):
        return f"oci+http://127.0.0.1:{self.server_port}/a/disk:1"


class ForgetfulHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Authorization")))
        if self.path.startswith("/token"):
            server.tokens += 1
            return self.answer(200, json.dumps({"access_token": f"token-{server.tokens}"}).encode())
        if self.headers.get("Authorization") != f"Bearer token-{server.tokens}" or not server.tokens:
            realm = f'Bearer realm="{server.url}/token",service="registry",scope="repository:a/disk:pull"'
            return self.answer(401, b"", ("WWW-Authenticate", realm))
        if "/manifests/" in self.path:
            return self.answer(200, server.image, ("Content-Type", MANIFEST))
        server.tokens += 1000  # whoever comes again needs a new one
        if server.elsewhere:
            return self.answer(307, b"", ("Location", server.elsewhere))
        data, status, fields = server.data, 200, [("ETag", '"1"'), ("Accept-Ranges", "bytes")]
        if wanted := self.headers.get("Range"):
            first = int(wanted.removeprefix("bytes=").rstrip("-").split("-")[0])
            fields.append(("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}"))
            data, status = data[first:], 206
        at, server.break_at = server.break_at, None
        return self.answer(status, data, *fields, stop=at)

    def answer(self, status, body, *fields, stop=None):
        self.send_response(status)
        for name, value in (("Content-Length", str(len(body))), *fields):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:stop])
        if stop is not None:
            self.close_connection = True

    def log_message(self, *args):
        pass
