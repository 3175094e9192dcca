#!/usr/bin/env python3
"""packaging/ipa, installed as a RAM disk would have it, writes real images with the real binary onto loop devices.

Debian has no ironic-python-agent: its interface is ipa_interface/ here. With IPA_SITE=DIR (what `pip install --target DIR` makes
of a real release) the same tests run with that one: its own extensions, errors, options and dispatching.
"""
import base64
import gzip
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import rig
from rig import MIB, sh

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(HERE, "..", "..", "packaging", "ipa")
PYTHON = "/usr/bin/python3"
SITE = os.environ.get("IPA_SITE")
GROUP = "ironic_python_agent.hardware_managers"


def add_entry_point(site, distribution, name, target):
    """What pip leaves of a package with one hardware manager."""
    info = os.path.join(site, f"{distribution}-1.dist-info")
    os.makedirs(info)
    with open(os.path.join(info, "METADATA"), "w") as file:
        file.write(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
    with open(os.path.join(info, "entry_points.txt"), "w") as file:
        file.write(f"[{GROUP}]\n{name} = {target}\n")


class Manager(rig.Case):
    @classmethod
    def setUpClass(cls):
        cls.site = tempfile.mkdtemp(prefix="ingot-ipa-", dir="/var/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.site, ignore_errors=True)
        # pip builds where the sources are; the checkout is to stay clean.
        source = shutil.copytree(PACKAGE, os.path.join(cls.site, "source"))
        cls.installed = os.path.join(cls.site, "installed")
        sh(PYTHON, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
           "--root-user-action=ignore", "--target", cls.installed, source)
        extra = os.path.join(cls.site, "extra")
        os.mkdir(extra)
        add_entry_point(extra, "ipa_test_disk", "test_disk", "ipa_test_disk:TestDisk")
        if not SITE:
            add_entry_point(extra, "ipa_interface", "generic", "ironic_python_agent.hardware:GenericHardwareManager")
        cls.modules = [cls.installed, extra, HERE, SITE or os.path.join(HERE, "ipa_interface")]
        cls.bin = os.path.join(cls.site, "bin")
        os.mkdir(cls.bin)
        os.symlink(os.path.abspath(rig.INGOT), os.path.join(cls.bin, "ingot"))

    def setUp(self):
        super().setUp()
        self.raw = self.disk_image(size=24 * MIB)
        self.sum = rig.digest(self.raw)
        self.disk = self.loop(64 * MIB, fill=3)
        self.before = self.head(self.disk)
        self.url = self.nginx(self.dir)

    # Calls.

    def driver(self, request, path=None, environment=None):
        """The driver's answer, and IPA's log."""
        # No plain PATH where there is to be no ingot: this machine may have one installed.
        env = {"PATH": path or f"{self.bin}:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": ":".join(self.modules),
               "PYTHONDONTWRITEBYTECODE": "1", "TEST_DISK": self.disk, **(environment or {})}
        done = subprocess.run([PYTHON, "-W", "ignore", os.path.join(HERE, "ipa_driver.py")], input=json.dumps(request),
                              env=env, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    def info(self, name="disk.raw", **more):
        return {"id": name, "urls": [f"{self.url}/{name}"], "disk_format": "raw", "container_format": None,
                "stream_raw_images": True, "node_uuid": "node", **more}

    def write_image(self, image_info, configdrive=None, conf=None, **kwargs):
        step = {} if configdrive is None else {"configdrive": configdrive}
        return self.driver({"image_info": image_info, "step": step, "conf": conf or {}}, **kwargs)

    def hashed(self, name="disk.raw", **more):
        return self.info(name, os_hash_algo="sha256", os_hash_value=rig.digest(self.path(name)), **more)

    def assert_written(self, answer, log, raw=None):
        self.assertIsNone(answer["error"], log)
        self.assertEqual(answer["partition_uuids"], {"root uuid": "0x00000000"}, log)
        self.assertIsNone(answer["cached_image_id"])
        self.assertIn(f"written to device {self.disk} root_uuid=0x00000000", answer["result"]["result"])
        self.assert_disk_is(self.disk, raw or self.raw)

    def assert_error(self, answer, log, kind, *texts):
        self.assertEqual((answer["error"] or {}).get("type"), kind, f"{answer}\n{log}")
        for text in texts:
            self.assertIn(text, answer["error"]["details"])

    def assert_untouched(self):
        self.assertEqual(self.head(self.disk), self.before)

    # The contract with IPA.

    def test_what_ipa_finds(self):
        answer, log = self.driver({})
        self.assertEqual(answer["managers"]["IngotHardwareManager"], 3, log)  # SERVICE_PROVIDER: above all of IPA's own
        self.assertEqual(answer["managers"]["GenericHardwareManager"], 1)
        self.assertEqual(answer["steps"], {"IngotHardwareManager": [
            {"step": "write_image", "priority": 0, "interface": "deploy", "reboot_requested": False}]})
        self.assertEqual(answer["versions"]["ingot_hardware_manager"], "1")
        self.assertEqual(len(answer["signatures"]), 2)
        self.assertEqual(*answer["signatures"])

    def test_the_element_installs_all_libraries(self):
        """Every library that the binary names is in its list, or in each Debian 12."""
        base = {"libc6", "libstdc++6", "libgcc-s1", "zlib1g", "liblzma5", "libbz2-1.0", "libzstd1", "liblz4-1", "libblkid1",
                "libudev1", "libssl3"}
        with open(os.path.join(PACKAGE, "elements", "ingot", "package-installs.yaml")) as file:
            listed = {line.rstrip()[:-1] for line in file if not line.startswith("#")}
        dynamic = sh("readelf", "--dynamic", "--wide", rig.INGOT)
        names = [line.split("[")[1].rstrip("]") for line in dynamic.splitlines() if "(NEEDED)" in line]
        self.assertGreater(len(names), 5, dynamic)
        for name in names:
            if name.startswith("ld-linux"):
                continue
            packages = {line.split(":")[0] for line in sh("dpkg-query", "--search", f"*/{name}").splitlines()}
            self.assertTrue(packages & (base | listed), f"{name} of {packages}")

    def test_without_a_working_ingot_all_is_as_before(self):
        broken = self.path("broken")
        os.mkdir(broken)
        with open(os.path.join(broken, "ingot"), "w") as file:
            file.write("#!/bin/sh\necho 'ingot: error while loading shared libraries: libfmt.so.9' >&2\nexit 127\n")
        os.chmod(os.path.join(broken, "ingot"), 0o755)
        answer, log = self.write_image(self.hashed(), path=f"{broken}:/usr/bin:/bin")
        self.assertNotIn("IngotHardwareManager", answer["managers"])
        self.assertEqual(answer["result"], "written by IPA")
        self.assertIn("libfmt.so.9", log)
        self.assert_untouched()

    def test_what_is_left_to_ipa(self):
        bearer = base64.b64encode(b"Bearer abc").decode()
        for info, conf in (
                (self.hashed(image_type="partition"), {}),
                (self.info(os_hash_algo="sha384", os_hash_value="00" * 48), {}),
                (self.info(), {}),
                (self.info(checksum="00" * 16), {"md5_enabled": False} if self.knows("md5_enabled") else None),
                (self.hashed(image_request_authorization=bearer), {}),
                (self.hashed(urls=["file:///etc/passwd"]), {}),
                (self.hashed(disk_format="ami"), {}),
                (self.hashed(urls=[self.url.replace("http", "https") + "/disk.raw"]), {"certfile": "/c", "keyfile": "/k"}),
                (self.info(os_hash_algo="sha256", os_hash_value="file:///etc/passwd"), {})):
            if conf is None:
                continue
            answer, log = self.write_image(info, conf=conf)
            self.assertEqual(answer["result"], "written by IPA", f"{info}\n{log}")
            self.assert_untouched()

    @staticmethod
    def knows(name):
        """Whether this IPA has an option; the interface here has all."""
        if not SITE:
            return True
        with open(os.path.join(SITE, "ironic_python_agent", "config.py")) as file:
            return f"'{name}'" in file.read()

    # Images.

    def test_raw(self):
        answer, log = self.write_image(self.hashed())
        self.assert_written(answer, log)

    def test_progress_in_the_log(self):
        url = self.nginx(self.dir, "limit_rate 6m;")
        answer, log = self.write_image(self.hashed(urls=[f"{url}/disk.raw"]))
        self.assert_written(answer, log)
        lines = [line for line in log.splitlines() if " write, " in line and "bytes received at" in line]
        self.assertTrue(3 <= len(lines) <= 15, log)
        self.assertIn("succeeded after", log)

    def test_qcow2_of_undeclared_format_with_a_checksum_file(self):
        qcow2 = self.qcow2(self.raw, "-c")
        name = os.path.basename(qcow2)
        with open(self.path("SHA256SUMS"), "w") as file:
            file.write(f"{self.sum}  disk.raw\n{rig.digest(qcow2)}  {name}\n")
        for extra in ({"os_hash_algo": "sha256", "os_hash_value": f"{self.url}/SHA256SUMS"},
                      {"checksum": f"{self.url}/SHA256SUMS"}):
            answer, log = self.write_image(self.info(name, disk_format=None, **extra))
            self.assert_written(answer, log)

    def test_a_second_url_serves_where_the_first_does_not(self):
        answer, log = self.write_image(self.hashed(urls=[f"{self.url}/gone.raw", f"{self.url}/disk.raw"]))
        self.assert_written(answer, log)

    def test_wrong_checksum(self):
        wrong = "0" * 64
        answer, log = self.write_image(self.info(os_hash_algo="sha256", os_hash_value=wrong))
        self.assert_error(answer, log, "ImageChecksumError", "[checksum.mismatch]", self.sum, wrong, "unbootable")
        self.assertEqual(answer["partition_uuids"], {})
        self.assert_not_bootable(self.disk)

    def test_md5_only_where_it_is_permitted(self):
        if not self.knows("md5_enabled"):
            return  # that release permits it always
        sums = {"md5": f"{rig.digest(self.raw, 'md5')}  disk.raw\n", "sha512": f"{rig.digest(self.raw, 'sha512')}  disk.raw\n"}
        for kind, text in sums.items():
            with open(self.path(f"{kind}.list"), "w") as file:
                file.write(text)
        conf = {"md5_enabled": False}
        answer, log = self.write_image(self.info(checksum=f"{self.url}/md5.list"), conf=conf)
        self.assert_error(answer, log, "ImageChecksumError", "[checksum.list]", "untouched")
        self.assert_untouched()
        answer, log = self.write_image(self.info(checksum=f"{self.url}/sha512.list"), conf=conf)
        self.assert_written(answer, log)
        answer, log = self.write_image(self.info(checksum=f"{self.url}/md5.list"), conf={"md5_enabled": True})
        self.assert_written(answer, log)

    def test_other_failures(self):
        with open(self.path("page.html"), "w") as file:
            file.write("<html>" + "not an image " * 1000)
        vmdk = self.path("disk.vmdk")
        sh("qemu-img", "convert", "-O", "vmdk", self.raw, vmdk)
        large = self.path("large.raw")
        shutil.copy(self.raw, large)
        os.truncate(large, 128 * MIB)
        sh("sgdisk", "-e", "-n", "3:0:0", large)
        for info, kind, texts in (
                (self.hashed(urls=[f"{self.url}/gone.raw"]), "ImageDownloadError", ["404", "untouched"]),
                (self.info("gone.raw", disk_format=None, checksum=self.sum), "ImageDownloadError", ["404"]),
                (self.hashed("page.html"), "InvalidImage", ["[image.unrecognized]"]),
                (self.hashed("page.html", disk_format=None), "InvalidImage", []),
                (self.hashed("disk.vmdk"), "InvalidImage", ["[image.format-mismatch]"]),
                (self.hashed("disk.vmdk", disk_format="vmdk"), "InvalidImage", ["vmdk"]),
                (self.hashed("disk.vmdk", disk_format=None), "InvalidImage", ["vmdk"]),
                (self.info(os_hash_algo="sha256", os_hash_value="00" * 64), "InvalidCommandParamsError", ["[usage.checksum]"]),
                (self.hashed("large.raw"), "ImageWriteError", ["[device.too-small]"])):
            answer, log = self.write_image(info)
            self.assert_error(answer, log, kind, *texts)
            self.assert_untouched()

    def test_no_partitions(self):
        filesystem = self.path("fs.raw")
        with open(filesystem, "wb") as file:
            file.truncate(8 * MIB)
        sh("mke2fs", "-q", "-t", "ext4", filesystem)
        answer, log = self.write_image(self.hashed("fs.raw"))
        self.assert_error(answer, log, "DeploymentError", "No partitions found")

    def test_a_time_limit(self):
        if not self.knows("image_download_max_duration"):
            return  # that release has no such limit
        url = self.nginx(self.dir, "limit_rate 1m;")
        answer, log = self.write_image(self.hashed(urls=[f"{url}/disk.raw"]), conf={"image_download_max_duration": 3})
        self.assert_error(answer, log, "ImageDownloadTimeoutError", "image_download_max_duration")
        self.assert_not_bootable(self.disk)

    # Config drives.

    def drive(self):
        tree = self.path("tree")
        os.makedirs(os.path.join(tree, "openstack/latest"))
        with open(os.path.join(tree, "openstack/latest/user_data"), "w") as file:
            file.write("#cloud-config\nhostname: of-ipa\n")
        iso = self.path("drive.iso")
        sh("xorriso", "-as", "genisoimage", "-quiet", "-o", iso, "-l", "-J", "-r", "-V", "config-2", tree)
        with open(iso, "rb") as file:
            return file.read()

    def test_config_drive(self):
        content = self.drive()
        packed = base64.b64encode(gzip.compress(content))
        with open(self.path("drive.b64"), "wb") as file:
            file.write(packed)
        for arguments in ({"configdrive": packed.decode()}, {"configdrive": f"{self.url}/drive.b64"}, {"info": packed.decode()}):
            info = self.hashed()
            if "info" in arguments:
                info["configdrive"] = arguments["info"]
            answer, log = self.write_image(info, configdrive=arguments.get("configdrive"))
            self.assertIsNone(answer["error"], log)
            partition = json.loads(sh("sfdisk", "--json", self.disk))["partitiontable"]["partitions"][2]
            with open(self.disk, "rb") as disk:
                disk.seek(partition["start"] * 512)
                self.assertEqual(disk.read(len(content)), content)
            self.assertNotIn(packed.decode()[:60], log)
            sh("wipefs", "--all", "--force", self.disk)

    def test_a_bad_config_drive_costs_no_disk(self):
        answer, log = self.write_image(self.hashed(), configdrive="bm8gY29uZmlnIGRyaXZl")
        self.assert_error(answer, log, "DeploymentError", "[usage.config-drive]", "untouched")
        self.assert_untouched()

    # Networks.

    def test_credentials(self):
        password = "s3cr3t pass:word"
        with open(self.path("users"), "w") as file:
            file.write("me:" + sh("openssl", "passwd", "-apr1", password))
        url = self.nginx(self.dir, f"auth_basic images; auth_basic_user_file {self.path('users')};")
        info = self.hashed(urls=[f"{url}/disk.raw"])
        user = {"image_server_auth_strategy": "http_basic", "image_server_user": "me"}
        header = base64.b64encode(b"Basic " + base64.b64encode(f"me:{password}".encode())).decode()
        good = [({**info, **user, "image_server_password": password}, {}),
                ({**info, "disk_format": None, "image_request_authorization": header}, {})]
        if self.knows("image_server_auth_strategy"):
            good.append((info, {**user, "image_server_password": password}))
        for given, conf in good:
            answer, log = self.write_image(given, conf=conf)
            self.assert_written(answer, log)
            self.assertNotIn("s3cr3t", log)
            sh("wipefs", "--all", "--force", self.disk)
        before = self.head(self.disk)
        for given in (info, {**info, **user, "image_server_password": "wr0ng"}):
            answer, log = self.write_image(given)
            self.assert_error(answer, log, "ImageDownloadError", "401")
            self.assertNotIn("wr0ng", log + json.dumps(answer))
        self.assertEqual(self.head(self.disk), before)

    def test_nothing_secret_in_arguments(self):
        """What a process list would show at the moment of the start, before ingot itself hides what it can."""
        spy, seen = self.path("spy"), self.path("seen")
        os.mkdir(spy)
        with open(os.path.join(spy, "ingot"), "w") as file:
            file.write(f'#!/bin/sh\necho "$@" >>{seen}\nexec {os.path.abspath(rig.INGOT)} "$@"\n')
        os.chmod(os.path.join(spy, "ingot"), 0o755)
        drive = base64.b64encode(gzip.compress(self.drive())).decode()
        info = self.hashed(disk_format=None, image_server_auth_strategy="http_basic", image_server_user="me",
                           image_server_password="s3cr3t", proxies={"http": "http://proxy:pr0xy@127.0.0.1:1"},
                           no_proxy="127.0.0.1")
        answer, log = self.write_image(info, configdrive=drive, path=f"{spy}:/usr/sbin:/usr/bin:/sbin:/bin")
        self.assertIsNone(answer["error"], log)
        with open(seen) as file:
            arguments = file.read()
        self.assertIn("--user=me", arguments)
        for secret in ("s3cr3t", "pr0xy", drive[:40]):
            self.assertNotIn(secret, arguments + log)

    def test_proxies(self):
        proxies = {"http": "http://127.0.0.1:1"}
        answer, log = self.write_image(self.hashed(proxies=proxies, no_proxy="127.0.0.1"))
        self.assert_written(answer, log)
        # A proxy that answers 404 for everything: the image is asked of it.
        proxy = self.nginx(tempfile.mkdtemp(dir=self.dir))
        answer, log = self.write_image(self.hashed(proxies={"http": proxy}), environment={"no_proxy": ""})
        self.assert_error(answer, log, "ImageDownloadError", "404")

    def test_tls(self):
        cert, key = self.path("cert.pem"), self.path("key.pem")
        sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
           "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)
        info = self.hashed(urls=[f"{self.fault_server(tls=(cert, key))}/disk.raw"])
        answer, log = self.write_image(info)
        self.assert_error(answer, log, "ImageDownloadError")
        self.assert_untouched()
        for conf in ({"cafile": cert}, {"insecure": True}):
            answer, log = self.write_image(info, conf=conf)
            self.assert_written(answer, log)


if __name__ == "__main__":
    unittest.main()
