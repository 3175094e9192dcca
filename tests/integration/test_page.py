#!/usr/bin/python3
"""The controller's page in a real browser (Chromium, without a screen), while machines install themselves."""
import os
import time
import unittest

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By

import home_rig
import rig
from home_rig import Home
from rig import MIB

# Where a picture of the page is kept; the build's directory, if the tests run from there.
PICTURES = os.environ.get("INGOT_PICTURES")
TOKEN = "page-token-0123456789abcdef"


class Page(Home):
    @classmethod
    def setUpClass(cls):
        cls.browser = home_rig.browser()
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self):
        super().setUp()
        self.addCleanup(self.no_errors_on_the_console)
        self.raw = self.disk_image(size=24 * MIB, data=0.9)
        self.server = self.nginx(directives="limit_rate 4m;")  # slow enough to be watched
        self.slow = f"{self.server}/disk.raw"

    def no_errors_on_the_console(self):
        # 401 is what the token is asked for by; a stream that ends with its controller is expected.
        bad = [entry for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"
               and "401" not in entry["message"] and "ERR_CONNECTION" not in entry["message"]
               and "ERR_INCOMPLETE" not in entry["message"]]
        self.assertEqual(bad, [])

    def wait(self, what, timeout=40):
        """The first true value of `what`, which is asked again while the page changes under it."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                if found := what():
                    return found
            except StaleElementReferenceException:
                pass
            time.sleep(0.05)
        self.picture("failed")
        self.fail(f"not seen within {timeout} s:\n{self.browser.find_element(By.TAG_NAME, 'body').text}")

    def row(self, machine):
        found = self.browser.find_elements(By.CSS_SELECTOR, f"#machines tr[data-machine='{machine}']")
        return found[0] if found else None

    def state(self, machine):
        row = self.row(machine)
        return row.get_attribute("data-state") if row else None

    def percent(self, machine):
        """Asked of the page at once: what it consists of may be new a moment later."""
        text = self.browser.execute_script(
            "return document.querySelector(`#machines tr[data-machine='${arguments[0]}'] .percent`)?.textContent", machine)
        return float(text.split()[0]) if text else None

    def picture(self, name):
        if PICTURES:
            os.makedirs(PICTURES, exist_ok=True)
            self.browser.save_screenshot(os.path.join(PICTURES, f"page-{name}.png"))

    def test_a_deployment_is_watched_until_it_is_done(self):
        self.os_image("slow", self.slow, rig.digest(self.raw))
        device = self.loop(32 * MIB)
        self.machine("node-1", "slow", device)
        self.machine("node-2", "slow", device)
        controller = self.controller()
        self.browser.get(f"http://127.0.0.1:{controller.port}")
        self.wait(lambda: self.state("node-1") == "waiting" and self.state("node-2") == "waiting")
        self.wait(lambda: self.browser.find_element(By.ID, "connection").get_attribute("data-state") == "live")

        job = self.start(*self.provision_argv(controller, "node-1"))
        seen = []
        self.wait(lambda: self.state("node-1") == "running" and self.percent("node-1") is not None)
        while self.state("node-1") == "running":
            now = self.percent("node-1")
            if now is not None and (not seen or now != seen[-1]):
                seen.append(now)
                if len(seen) == 3:
                    self.picture("installing")
            time.sleep(0.05)
        self.assertEqual(seen, sorted(seen), "a percentage went back")
        self.assertGreater(len(seen), 3, "it was not seen to grow")
        self.wait(lambda: self.state("node-1") == "succeeded")
        self.assertIn("done", self.row("node-1").text)
        self.assertEqual(self.percent("node-1"), 100)
        self.assertEqual(self.state("node-2"), "waiting")
        out, err = job.communicate(timeout=30)
        self.assertEqual(job.returncode, 0, out + err)
        self.picture("done")

        self.row("node-1").find_element(By.TAG_NAME, "button").click()
        self.wait(lambda: len(self.browser.find_elements(By.CSS_SELECTOR, "#history tbody tr")) == 1)
        details = self.browser.find_element(By.ID, "details").text
        self.assertIn("done", details)
        self.assertIn(self.slow, details)

    def test_a_checksum_failure_is_seen_in_its_words(self):
        self.os_image("wrong", self.slow, "0" * 64)
        self.machine("node-1", "wrong", self.loop(32 * MIB))
        controller = self.controller()
        self.browser.get(f"http://127.0.0.1:{controller.port}")
        self.wait(lambda: self.state("node-1") == "waiting")
        job = self.start(*self.provision_argv(controller, "node-1"))
        self.wait(lambda: self.state("node-1") == "failed")
        _, err = job.communicate(timeout=30)
        self.assertEqual(job.returncode, 4, err)
        text = self.wait(lambda: self.row("node-1").text)
        message = controller.get("/v1/machines/node-1")[2]["deployment"]["error"]["message"]
        self.assertIn(message, text)
        self.assertIn("0" * 64, message)
        self.picture("checksum")

    def test_images_are_listed_with_their_access_and_nothing_is_taken_for_markup(self):
        self.os_image("markup", f"{self.server}/disk.raw", rig.digest(self.raw), extra="""\
  description: "<img src=x onerror=alert(1)><b>bold</b>"
  owner: {user: admin}
  access:
    - {verbs: [get], users: ["*"], teams: [storage]}
""")
        controller = self.controller()
        self.browser.get(f"http://127.0.0.1:{controller.port}")
        row = self.wait(lambda: self.browser.find_elements(By.CSS_SELECTOR, "#images tr[data-image='markup']"))[0]
        for words in ("<img src=x onerror=alert(1)><b>bold</b>", "user admin", "*, team storage: get", rig.digest(self.raw)):
            self.assertIn(words, row.text)
        self.assertEqual(self.browser.find_elements(By.CSS_SELECTOR, "#images img, #images b"), [])
        self.assertTrue(self.browser.find_element(By.ID, "no-machines").is_displayed())
        # What the directories hold later is shown without being asked for.
        self.machine("later", "markup", "/nowhere")
        self.wait(lambda: self.state("later") == "waiting")

    def test_the_token_is_asked_for_and_a_lost_controller_is_found_again(self):
        self.os_image("slow", self.slow, rig.digest(self.raw))
        self.machine("node-1", "slow", "/nowhere")
        token = self.path("page-token")
        with open(token, "w") as file:
            file.write(TOKEN + "\n")
        os.chmod(token, 0o600)
        controller = self.controller("--page-token-file", token)
        self.browser.get(f"http://127.0.0.1:{controller.port}")
        field = self.browser.find_element(By.ID, "token")
        self.wait(field.is_displayed)
        self.assertIsNone(self.row("node-1"))
        field.send_keys("wrong\n")
        self.wait(lambda: self.browser.find_element(By.ID, "login-problem").is_displayed())
        self.assertIsNone(self.row("node-1"))
        field.send_keys("tok\u2026n\n")  # which no header can hold
        self.wait(lambda: "characters" in self.browser.find_element(By.ID, "login-problem").text)
        field.send_keys(TOKEN + "\n")
        self.wait(lambda: self.state("node-1") == "waiting")
        self.assertNotIn(TOKEN, self.browser.current_url)

        controller.kill()
        connection = self.browser.find_element(By.ID, "connection")
        self.wait(lambda: connection.get_attribute("data-state") == "lost")
        self.again(controller)
        self.wait(lambda: connection.get_attribute("data-state") == "live")


if __name__ == "__main__":
    unittest.main()
