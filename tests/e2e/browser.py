"""A headless Chromium for the tests of the admin port's page, and where its screenshots are kept.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import shutil

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from rig import wait_until

ARTIFACTS = os.environ.get("SERIN_ARTIFACTS", os.path.join(os.path.dirname(__file__), "..", "..", "build", "artifacts"))


class Browser:
    """One tab. Everything that its console says is kept, and is to be nothing at the end."""

    def __init__(self, folder):
        options = Options()
        options.binary_location = shutil.which("chromium")
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
                     "--hide-scrollbars", f"--user-data-dir={folder}/chromium"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.driver.set_page_load_timeout(30)
        self.driver.set_script_timeout(30)
        self.said, self.asked = [], []
        self.size(1600, 1000)

    def look(self):
        """Takes over what the console has said and what was asked of the network."""
        self.said += self.driver.get_log("browser")
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.asked.append(message["params"]["request"]["url"])

    def complaints(self, expected=()):
        """What the console said, but for lines that hold one of these words."""
        self.look()
        return [entry for entry in self.said if not any(word in entry["message"] for word in expected)]

    def strangers(self):
        """Addresses that were asked for and are not the page's own; the browser's own pages do not count."""
        self.look()
        own = self.run("return location.origin")
        return [url for url in self.asked if not url.startswith((own + "/", "chrome", "data:", "blob:"))]

    def size(self, width, height=900):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def cdp(self, method, **parameters):
        return self.driver.execute_cdp_cmd(method, parameters)

    def open(self, address):
        self.driver.get(address)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def texts(self, css):
        """Of all at one moment, though the page goes on changing."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText.trim())", css)

    def text(self, css):
        return "\n".join(self.texts(css))

    def shown(self, css, name):
        """The elements that can be seen and have that text, or that accessible name."""
        for _ in range(20):
            try:
                return [e for e in self.all(css) if e.is_displayed() and name in (e.text, e.accessible_name)]
            except StaleElementReferenceException:
                pass    # the page has changed in between: look again
        raise AssertionError(f"{css} changes all the time")

    def wait(self, condition, what, seconds=20):
        try:
            return wait_until(condition, seconds, what)
        except AssertionError:
            self.keep("failed")
            raise

    def press(self, name, css="button"):
        self.wait(lambda: self.shown(css, name), f"a button {name}")[-1].click()

    def keep(self, name):
        """A screenshot of the whole page among the artefacts."""
        os.makedirs(ARTIFACTS, exist_ok=True)
        size = self.cdp("Page.getLayoutMetrics")["cssContentSize"]
        width, height = self.run("return [innerWidth, innerHeight]")
        self.size(width, int(min(6000, max(size["height"], height))))
        self.driver.save_screenshot(os.path.join(ARTIFACTS, f"page-{name}.png"))
        self.size(width, height)

    def stop(self):
        self.driver.quit()
