#!/usr/bin/env python3
"""The catalog of a Kubernetes API server, over real HTTPS against a server that follows the API's semantics
(kubernetes_rig.py): credentials of every kind, what is refused and in which words, paging, watching.
"""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kubernetes_case import CLEAN, INGOT, KEY, TOKEN, Case, Proxy, Watch  # noqa: E402
from kubernetes_rig import API, kubeconfig, status  # noqa: E402


class Kubernetes(Case):
    # Credentials.

    def test_client_certificate(self):
        server = self.api()
        files = self.config(server, {"client-certificate": self.alice[0], "client-key": self.alice[1]})
        self.assertEqual(self.catalog("list", "--kubeconfig", files),
                         [{"image": "ubuntu-noble", "url": "https://images.example/disk.img", "checksum": "ab" * 32,
                           "owner": "admin"}])
        self.assertEqual(server.requests[-1][3], "alice")

        def data(path):
            with open(path, "rb") as file:
                return base64.b64encode(file.read()).decode()
        inline = self.config(server, {"client-certificate-data": data(self.alice[0]), "client-key-data": data(self.alice[1])},
                             **{"certificate-authority": None, "certificate-authority-data": data(self.ca)})
        self.assertEqual(self.catalog("find", "ubuntu-noble", "--kubeconfig", inline)[0]["image"], "ubuntu-noble")
        self.assertEqual(self.catalog("find", "ubuntu-noble", "--server", server.url, "--ca-cert", self.ca, "--client-cert",
                                      self.alice[0], "--client-key", self.alice[1])[0]["image"], "ubuntu-noble")

    def test_client_certificates_that_are_not_accepted(self):
        server = self.api()
        for pair in self.late, self.stranger:
            said = self.refused("controller.unreachable", "list", "--server", server.url, "--ca-cert", self.ca,
                                "--client-cert", pair[0], "--client-key", pair[1])
            self.assertIn("the server refuses the client certificate", said)

    def test_token(self):
        server = self.api()
        self.assertEqual(self.catalog("list", "--kubeconfig", self.config(server))[0]["image"], "ubuntu-noble")
        self.path("token", TOKEN + "\n")
        config = self.config(server, {"tokenFile": "token"})  # relative to the kubeconfig
        self.assertEqual(self.catalog("list", "--kubeconfig", config)[0]["image"], "ubuntu-noble")
        self.assertEqual(server.requests[-1][3], "system:serviceaccount:ingot:ingot")

    def test_kubeconfig_from_the_environment_and_by_server(self):
        server = self.api()
        config = self.config(server)
        self.assertEqual(len(self.catalog("list", env={"KUBECONFIG": f"{self.path('none')}::{config}"})), 1)
        os.makedirs(self.path(".kube"))
        shutil.copy(config, self.path(".kube/config"))
        self.assertEqual(len(self.catalog("list")), 1)
        self.assertEqual(len(self.catalog("list", "--server", server.url + "/")), 1, "the URL selects the context")
        before = len(server.requests)
        said = self.refused("usage.option", "list", "--server", server.url.replace("127.0.0.1", "127.0.0.2"))
        self.assertIn("has no context for it", said)
        self.assertIn("--token-file", said)
        self.assertEqual(len(server.requests), before)

    def test_in_cluster_and_rotated_token(self):
        server = self.api()
        shutil.copy(self.ca, self.path("ca.crt"))
        self.path("token", TOKEN)
        env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
        for args in (["--in-cluster"], ["--server", server.url]):
            self.assertEqual(len(self.catalog("list", *args, "--service-account", self.dir, env=env)), 1)
        said = self.refused("usage.option", "list", "--server", "https://elsewhere.example", "--service-account", self.dir,
                            env=env)
        self.assertIn("no credentials for https://elsewhere.example:443", said)
        self.assertIn("no Pod", self.refused("usage.option", "list", "--in-cluster"))

        # While it watches, the token is replaced: the old one is no good any more.
        watch = Watch(self, "--in-cluster", "--service-account", self.dir, env=env)
        self.assertEqual(watch.images(), {"ubuntu-noble"})
        with server.lock:
            server.tokens = {"second." + TOKEN: "rotated"}
        self.path("token", "second." + TOKEN)
        server.cut_watches()
        server.put_image("second")
        self.assertEqual(watch.images(), {"ubuntu-noble", "second"})
        self.assertEqual(server.requests[-1][3], "rotated")

    def test_plugins_are_refused_with_what_to_do(self):
        server = self.api()
        marker = self.path("ran")
        config = self.config(server, {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/usr/bin/touch",
                                               "args": [marker]}})
        said = self.refused("usage.option", "list", "--kubeconfig", config)
        self.assertIn("credential plugins (touch) are not supported", said)
        self.assertIn("--token-file", said)
        self.assertFalse(os.path.exists(marker))
        self.path("token", TOKEN)
        self.assertEqual(len(self.catalog("list", "--kubeconfig", config, "--token-file", self.path("token"))), 1,
                         "the cluster of the kubeconfig, the token of the options")
        for user in {"auth-provider": {"name": "gcp"}}, {"username": "u", "password": "S3CR3T"}, {"as": "admin"}:
            said = self.refused("usage.option", "list", "--kubeconfig", self.config(server, user))
            self.assertIn("not supported", said)
            self.assertNotIn("S3CR3T", said)
        self.assertFalse([request for request in server.requests if request[3] is None])

    # TLS.

    def test_wrong_ca(self):
        server = self.api()
        config = self.config(server, **{"certificate-authority": self.certificates.path("other-ca.crt")})
        said = self.refused("controller.unreachable", "list", "--kubeconfig", config)
        self.assertIn("certificate-authority", said)
        said = self.refused("controller.unreachable", "list", "--kubeconfig",
                            self.config(server, **{"certificate-authority": None}))
        self.assertIn("--ca-cert", said)
        self.assertEqual(server.requests, [], "nobody is told the token before the server is known")
        config = self.config(server, **{"certificate-authority": None, "insecure-skip-tls-verify": True})
        self.assertEqual(len(self.catalog("list", "--kubeconfig", config)), 1)

    def test_the_given_ca_alone_is_trusted(self):
        pair = self.certificates.make("elsewhere", "/CN=kube-apiserver", "IP:127.0.0.1", ca="other-ca")
        server = self.api(pair)
        # A machine that trusts the other CA, in a mount namespace of its own.
        trusted = self.path("trusted")
        os.makedirs(trusted)
        shutil.copy(self.certificates.path("other-ca.crt"), os.path.join(trusted, "other-ca.pem"))
        shutil.copy(self.certificates.path("other-ca.crt"), os.path.join(trusted, "ca-certificates.crt"))
        subprocess.run(["openssl", "rehash", trusted], check=True, capture_output=True)
        through = ["unshare", "--mount", "sh", "-c", f'mount --bind {trusted} /etc/ssl/certs && exec "$@"', "sh"]
        config = self.config(server, **{"certificate-authority": None})
        self.assertEqual(len(self.catalog("list", "--kubeconfig", config, through=through)), 1, "the system's CA")
        self.refused("controller.unreachable", "list", "--kubeconfig", self.config(server), through=through)

    def test_expired_server_certificate(self):
        server = self.api(self.expired_pair)
        said = self.refused("controller.unreachable", "list", "--kubeconfig", self.config(server))
        self.assertIn("has run out, or the clock here is wrong", said)

    def test_server_name(self):
        server = self.api(self.named_pair)
        said = self.refused("controller.unreachable", "list", "--kubeconfig", self.config(server))
        self.assertIn("tls-server-name", said)
        config = self.config(server, **{"tls-server-name": "kube.example"})
        self.assertEqual(len(self.catalog("list", "--kubeconfig", config)), 1)
        self.assertEqual(server.requests[-1][2]["Host"], f"127.0.0.1:{server.port}")
        self.refused("controller.unreachable", "list", "--kubeconfig",
                     self.config(server, **{"tls-server-name": "other.example"}))

    def test_proxy(self):
        server = self.api()
        proxy = Proxy()
        self.addCleanup(proxy.stop)
        config = self.config(server, **{"proxy-url": proxy.url})
        self.assertEqual(len(self.catalog("list", "--kubeconfig", config)), 1)
        self.assertEqual(proxy.asked, [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"])
        # The environment's is for others: without TLS it would be shown the token.
        proxy.asked.clear()
        around = {name: proxy.url for name in ("http_proxy", "https_proxy", "all_proxy")}
        self.assertEqual(len(self.catalog("list", "--kubeconfig", self.config(server), env=around)), 1)
        self.assertEqual(proxy.asked, [])

    def test_credentials_stay_with_the_server(self):
        server, other = self.api(), self.api()
        server.faults = [(302, {"Location": f"{other.url}{API}/osimages"}, b"")]
        said = self.refused("controller.refused", "list", "--kubeconfig", self.config(server))
        self.assertIn("leads elsewhere", said)
        self.assertEqual(other.requests, [])
        plain = self.path("plain")
        kubeconfig(plain, "http://192.0.2.1:8080", {"token": TOKEN})
        self.assertIn("without TLS", self.refused("usage.option", "list", "--kubeconfig", plain))

    # What the server says.

    def test_refusals_are_told_apart(self):
        server = self.api()
        config = self.config(server)
        self.assertEqual(self.catalog("find", "absent", "--kubeconfig", config), [{"nothing": "absent"}])
        asked = len(server.requests)
        for impossible in "../../../api/v1/secrets", "Upper", "a?b", "a/b", "":
            self.assertEqual(self.catalog("find", impossible, "--kubeconfig", config), [{"nothing": impossible}])
        self.assertEqual(len(server.requests), asked, "no object can have such a name")

        server.tokens.clear()
        for args in ["list"], ["find", "ubuntu-noble"]:
            said = self.refused("controller.refused", *args, "--kubeconfig", config)
            self.assertIn("not accepted (401)", said)
            self.assertIn("renew", said)
        server.tokens[TOKEN] = "bob"
        server.rules["bob"] = set()
        said = self.refused("access.denied", "find", "ubuntu-noble", "--kubeconfig", config)
        for part in 'User "bob"', "cannot get", "osimages", "ClusterRole":
            self.assertIn(part, said)
        said = self.refused("controller.refused", "list", "--kubeconfig", config)
        self.assertIn('User "bob" cannot list resource "osimages"', said)
        del server.rules["bob"]

        server.crds.discard("sshkeys")
        self.assertIn("has no management.loft.sh/v1 (404)", self.refused("controller.refused", "key", "a", "--kubeconfig", config))
        server.has_group = False
        for args in ["list"], ["find", "ubuntu-noble"]:
            said = self.refused("controller.refused", *args, "--kubeconfig", config)
            self.assertIn("has no management.loft.sh/v1 (404)", said)
            self.assertIn("/kubernetes/management", said)

        server.faults = [(200, {}, b"<html>log in</html>")]
        self.assertIn("none of a Kubernetes API", self.refused("controller.refused", "list", "--kubeconfig", config))
        hostile = status(418, "Odd", f"\x1b[31mred\nline {TOKEN}")
        server.faults = [(418, {}, hostile)]
        said = self.refused("controller.refused", "list", "--kubeconfig", config)
        self.assertIn("status 418", said)
        hostile["message"] = "\x1b[31mred\nline"
        server.faults = [(418, {}, hostile)]
        said = self.refused("controller.refused", "list", "--kubeconfig", config)
        self.assertIn("red", said)
        self.assertNotRegex(said, "[\x00-\x1f]")

    def test_path_of_the_platform(self):
        server = self.api(prefix="/kubernetes/management")
        self.assertEqual(len(self.catalog("list", "--kubeconfig", self.config(server))), 1)
        self.assertEqual(server.requests[-1][1], f"/kubernetes/management{API}/osimages?limit=50")

    def test_a_busy_server_is_asked_again(self):
        server = self.api()
        busy = status(429, "TooManyRequests", "too many requests, please try again later")
        server.faults = [(429, {"Retry-After": "1"}, busy), (503, {}, b"down")]
        begun = time.monotonic()
        self.assertEqual(len(self.catalog("list", "--kubeconfig", self.config(server))), 1)
        self.assertGreaterEqual(time.monotonic() - begun, 1)
        self.assertEqual(len(server.requests), 3)
        server.faults = [(503, {"Retry-After": "0"}, b"down")] * 9
        self.assertIn("status 503", self.refused("controller.refused", "list", "--kubeconfig", self.config(server)))
        self.assertEqual(len(server.requests), 3 + 4)
        server.stop()
        self.assertIn("check the server's URL", self.refused("controller.unreachable", "list", "--kubeconfig", self.config(server)))

    # Lists.

    def test_pages(self):
        server = self.api(images=[f"image-{number:03}" for number in range(120)])
        config = self.config(server)
        for server.items_have_kind in False, True:
            before = len(server.requests)
            listed = self.catalog("list", "--kubeconfig", config)
            self.assertEqual([line["image"] for line in listed], [f"image-{number:03}" for number in range(120)])
            self.assertEqual(len(server.requests) - before, 3)

    def test_expired_page(self):
        server = self.api(images=[f"image-{number:03}" for number in range(120)])
        once = []

        def compact(query):
            if "continue" in query and not once:
                once.append(True)
                server.version += 1
                server.compacted = server.version
        server.on_page = compact
        listed = self.catalog("list", "--kubeconfig", self.config(server))
        self.assertEqual(len(listed), 120)
        pages = ["continue" in request[1] for request in server.asked("list")]
        self.assertEqual(pages, [False, True, True, False, True, True], "the third page is gone; it begins again")

        def always(query):
            server.version += 1
            server.compacted = server.version
        server.on_page = always
        self.assertEqual(len(self.catalog("list", "--kubeconfig", self.config(server))), 120)
        self.assertEqual(server.requests[-1][1], f"{API}/osimages", "in the end without pages")

    def test_a_broken_object_hides_no_other(self):
        server = self.api(images=("a", "c"))
        server.put("osimages", "b", {"properties": {"metal3.vcluster.com/image-url": 7}})
        config = self.config(server)
        lines = self.run_catalog("list", "--kubeconfig", config)
        self.assertEqual([line["image"] for line in lines if "image" in line], ["a", "c"])
        warnings = [line["warning"] for line in lines if "warning" in line]
        self.assertEqual(len(warnings), 1)
        self.assertIn(f"left out: {server.url} osimages/b:1: spec.properties", warnings[0])
        self.assertIn("a string is wanted", self.refused("usage.manifest", "find", "b", "--kubeconfig", config))

    def test_ssh_keys(self):
        server = self.api()
        server.put_key("admin", KEY)
        config = self.config(server)
        self.assertEqual(self.catalog("key", "admin", "--kubeconfig", config), [{"key": "admin", "public_key": KEY}])
        self.assertEqual(self.catalog("keys", "--kubeconfig", config), [{"key": "admin", "public_key": KEY}])
        self.assertEqual(self.catalog("key", "other", "--kubeconfig", config), [{"nothing": "other"}])

    # The command.

    def resolve(self, *args, code=0):
        done = subprocess.run([INGOT, "resolve", *args], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                              env={**CLEAN, "HOME": self.dir})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn(TOKEN, done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_ingot_resolve(self):
        server = self.api(images=("ubuntu-noble", "ubuntu-jammy"))
        server.put_image("shared", access=[{"name": "all", "verbs": ["get"], "users": ["*"]}])
        server.put_key("admin", KEY)
        config = self.config(server)
        self.path("token", TOKEN)
        machine = self.path("machine.yaml", """apiVersion: management.loft.sh/v1
kind: Machine
metadata: {name: rack-1}
spec:
  properties:
    vcluster.com/os-image: ubuntu-noble
    vcluster.com/ssh-keys: admin
    ingot.io/device: /dev/sda
""")
        wanted = ["--catalog", "kubeconfig:", "--kubeconfig", config]
        request = json.loads(self.resolve(*wanted, "--machine", machine, "-o", "json"))
        self.assertEqual(request["spec"]["image"]["urls"], ["https://images.example/disk.img"])
        self.assertIn(KEY, json.dumps(request))
        for args in (["--catalog", "kubeconfig:test", "--kubeconfig", config],
                     ["--catalog", server.url, "--token-file", self.path("token"), "--ca-cert", self.ca],
                     ["--catalog", server.url, "--client-cert", self.alice[0], "--client-key", self.alice[1], "--ca-cert", self.ca]):
            self.assertIn("https://images.example/disk.img", self.resolve(*args, "--osimage", "ubuntu-noble"))

        said = self.resolve(*wanted, "--osimage", "ubuntu-nobel", code=2)
        self.assertIn(f"there is no OSImage 'ubuntu-nobel' in the Kubernetes API server {server.url}; there are: ubuntu-noble", said)
        said = self.resolve(*wanted, "--osimage", "ubuntu-noble", "--user", "jane", code=9)
        self.assertNotIn("images.example", said)
        said = self.resolve(*wanted, "--osimage", "ubuntu-nobel", "--user", "jane", code=2)
        self.assertIn("may use: shared", said)
        self.assertNotIn("jammy", said)
        server.rules[server.tokens[TOKEN]] = {("get", "osimages")}
        self.assertIn("which there are could not be found out", self.resolve(*wanted, "--osimage", "nothing", code=2))
        server.rules[server.tokens[TOKEN]] = set()
        self.assertIn("[access.denied]", self.resolve(*wanted, "--osimage", "ubuntu-noble", code=9))
        server.tokens.clear()
        self.assertIn("[controller.refused]", self.resolve(*wanted, "--osimage", "ubuntu-noble", code=8))
        server.stop()
        self.assertIn("[controller.unreachable]", self.resolve(*wanted, "--osimage", "ubuntu-noble", code=8))
        self.assertIn("is for an API server", self.resolve("--catalog", self.dir, "--context", "a", "--osimage", "b", code=2))
        self.assertIn("this is no Pod", self.resolve("--catalog", "in-cluster", "--osimage", "b", code=2))

    # Watches.

    def test_watch(self):
        server = self.api(images=("a",))
        watch = Watch(self, "--kubeconfig", self.config(server))
        self.assertEqual(watch.images(), {"a"})
        server.put_image("b")
        self.assertEqual(watch.images(), {"a", "b"})
        server.put_image("b", url="https://images.example/other.img")
        self.assertEqual(watch.next()["images"]["b"], "https://images.example/other.img")
        server.put("osimages", "a", {"properties": {"metal3.vcluster.com/image-url": 7}})
        self.assertEqual(watch.images(), {"b"})
        self.assertIn("left out", watch.warnings[-1])
        server.put_image("a")
        self.assertEqual(watch.images(), {"a", "b"})
        server.delete("osimages", "b")
        self.assertEqual(watch.images(), {"a"})
        self.assertEqual(len(server.asked("list")), 1, "everything came by one watch")
        self.assertEqual(len(server.asked("watch")), 1)

    def test_watch_goes_on_where_it_was(self):
        server = self.api(images=("a",))
        server.watch_seconds = 0.6
        watch = Watch(self, "--kubeconfig", self.config(server))
        self.assertEqual(watch.images(), {"a"})
        with server.lock:
            server.version += 500  # of other resources: bookmarks tell
        self.wait(lambda: len(server.asked("watch")) >= 3)
        server.put_image("b")
        self.assertEqual(watch.images(), {"a", "b"})
        self.assertEqual(len(server.asked("list")), 1)
        last = int(re.search(r"resourceVersion=(\d+)", server.asked("watch")[-1][1])[1])
        self.assertGreater(last, 1400, "the bookmark's version")

    def test_watch_after_compaction(self):
        for as_status in False, True:
            server = self.api(images=("a", "b"))
            server.gone_as_status = as_status
            server.bookmark_every = 99
            watch = Watch(self, "--kubeconfig", self.config(server))
            self.assertEqual(watch.images(), {"a", "b"})
            self.wait(lambda: server.watching == 1)
            with server.lock:  # unseen: the watch is cut first
                server.cut += 1
                server.objects["osimages"].pop("b")
                server.version += 5
                server.compacted = server.version
                server.history.clear()
            self.assertEqual(watch.images(), {"a"})
            server.put_image("c")
            self.assertEqual(watch.images(), {"a", "c"})
            self.assertEqual(len(server.asked("list")), 2)
            watch.end()

    def test_watch_survives_the_server(self):
        server = self.api(images=("a",))
        watch = Watch(self, "--kubeconfig", self.config(server))
        self.assertEqual(watch.images(), {"a"})
        server.tokens.clear()
        server.cut_watches()
        told = watch.next()
        self.assertEqual((told["problem"], set(told["images"])), ("controller.refused", {"a"}), "what was known stays")
        self.assertIn("401", watch.warnings[-1])
        before = len(server.requests)
        time.sleep(1)
        self.assertLess(len(server.requests) - before, 12, "no hot loop")
        self.assertEqual(len(watch.warnings), 1, "said once")
        server.tokens[TOKEN] = "again"
        self.assertIsNone(watch.next()["problem"])
        server.faults = ["close"] * 3
        server.cut_watches()
        server.put_image("b")
        self.wait(lambda: "b" in (watch.next() or {"images": {}})["images"])
        begun = time.monotonic()
        watch.end()
        self.assertLess(time.monotonic() - begun, 5)


if __name__ == "__main__":
    unittest.main()
