"""What tests of a home share: a controller with its catalog and machines, and machines that provision themselves from it."""
import os

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

import rig
from controller_rig import Controller


def browser():
    """Chromium without a screen; the caller ends it with quit()."""
    options = Options()
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1200,800",
                 "--disable-background-networking", "--no-first-run", "--no-proxy-server"):
        options.add_argument(word)
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


class Home(rig.Case):
    """A controller's directories, as files; and machines that ask it what they are to become."""

    def setUp(self):
        super().setUp()
        self.catalog, self.machines = self.path("catalog"), self.path("machines")
        os.mkdir(self.catalog)
        os.mkdir(self.machines)

    def controller(self, *args):
        """Serving from these directories until the test is over; always at the same port, so that it is found again."""
        made = Controller(self.dir, args=args)
        made.start()
        self.addCleanup(made.stop)
        return made

    def again(self, controller):
        controller.start(controller.port)

    @staticmethod
    def deployments(controller, machine):
        status, _, body = controller.get(f"/v1/machines/{machine}/deployments")
        assert status == 200, body
        return body["deployments"]

    def put(self, directory, name, text):
        """Puts a manifest in place at once, as a careful editor does."""
        path = os.path.join(directory, name)
        with open(path + ".new", "w") as file:
            file.write(text)
        os.rename(path + ".new", path)
        return path

    def os_image(self, name, url, checksum, extra=""):
        return self.put(self.catalog, f"{name}.yaml", f"""\
apiVersion: management.loft.sh/v1
kind: OSImage
metadata:
  name: {name}
spec:
  displayName: Image {name}
  properties:
    metal3.vcluster.com/image-url: {url}
    metal3.vcluster.com/image-checksum: "{checksum}"
{extra}""")

    def machine(self, name, image, device, properties=()):
        lines = "".join(f"    {key}: '{value}'\n" for key, value in dict(properties).items())
        return self.put(self.machines, f"{name}.yaml", f"""\
apiVersion: management.loft.sh/v1
kind: Machine
metadata:
  name: {name}
spec:
  properties:
    vcluster.com/os-image: {image}
    ingot.io/device: {device}
    ingot.io/on-success: none
{lines}""")

    def provision_argv(self, controller, name, *options, retry="never"):
        return ["provision", "--from", f"http://127.0.0.1:{controller.port}/v1/provision?name={name}", "--cmdline",
                "/dev/null", "--yes", "--power", "exit", "--run-dir", self.path(f"run-{name}"), "--retry", retry, *options]
