"""A headless Chromium, driven over its DevTools pipe. Standard library only."""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time


def find():
    """The browser's path, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path is not None:
            return path
    return None


class Browser:
    """One tab. Everything that the page logs, throws or loads is kept."""

    def __init__(self, path, width=1280, height=900):
        self.path = path
        self.size = (width, height)
        self.events = []
        self.next_id = 0
        self.buffer = b""

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="culprit-browser-", ignore_cleanup_errors=True)
        read_commands, self.commands = os.pipe()
        self.answers, write_answers = os.pipe()

        def connect():  # the browser reads commands from 3 and writes answers to 4
            for source, target in ((os.dup(read_commands), 3), (os.dup(write_answers), 4)):
                os.dup2(source, target)
                os.set_inheritable(target, True)

        self.child = subprocess.Popen(
            [self.path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-extensions", "--remote-debugging-pipe",
             f"--user-data-dir={self.profile.name}", f"--window-size={self.size[0]},{self.size[1]}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=connect, close_fds=False, start_new_session=True)
        os.close(read_commands)
        os.close(write_answers)
        try:
            target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
            self.session = None
            self.session = self.call("Target.attachToTarget",
                                     {"targetId": target, "flatten": True})["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(domain + ".enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        os.killpg(self.child.pid, signal.SIGKILL)  # the browser's own session: its helpers, too
        self.child.wait()
        os.close(self.commands)
        os.close(self.answers)
        self.profile.cleanup()

    session = None

    def call(self, method, parameters=None, timeout=60):
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": parameters or {}}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data):]
        deadline = time.monotonic() + timeout
        while True:
            answer = self.receive(deadline)
            if answer.get("id") != self.next_id:
                self.events.append(answer)
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            return answer["result"]

    def receive(self, deadline):
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.answers], [], [], left)[0]:
                raise TimeoutError("the browser does not answer")
            data = os.read(self.answers, 1 << 20)
            if not data:
                raise RuntimeError("the browser has ended")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def wait_for(self, method, timeout=60):
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event.get("method") == method:
                    return event
            self.events.append(self.receive(deadline))

    def open(self, url):
        self.events.clear()
        self.call("Page.navigate", {"url": url})
        self.wait_for("Page.loadEventFired")
        self.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))")

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", {"expression": expression, "awaitPromise": True,
                                                "returnByValue": True})
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"])[:500])
        return result["result"].get("value")

    def press(self, key):
        """A key without modifiers: a letter or "Tab"."""
        code = {"Tab": 9}.get(key) or ord(key.upper())
        event = {"key": key, "code": key if len(key) > 1 else "Key" + key.upper(),
                 "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent",
                  {"type": "keyDown", **event, **({"text": key} if len(key) == 1 else {})})
        self.call("Input.dispatchKeyEvent", {"type": "keyUp", **event})

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia",
                  {"features": [{"name": "prefers-color-scheme", "value": name}]})

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride",
                  {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", {"format": "png"})["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def complaints(self):
        """What the page logged or threw."""
        found = []
        for event in self.events:
            method = event.get("method")
            if method == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"])[:300])
            elif method == "Runtime.consoleAPICalled":
                found.append(str(event["params"]["args"])[:300])
            elif method == "Log.entryAdded":
                found.append(event["params"]["entry"]["text"][:300])
        return found

    def requests(self):
        return [event["params"]["request"]["url"] for event in self.events
                if event.get("method") == "Network.requestWillBeSent"]
