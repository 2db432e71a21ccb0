"""A headless Chromium that tests drive over its DevTools protocol, through two pipes and without further packages."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PROGRAM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
ABSENT = "no Chromium on the path: the page is not looked at in a browser"
# Chromium expects the pipes at descriptors 3 and 4.
LAUNCH = (
    "import os, sys; r, w = (os.dup(int(a)) for a in sys.argv[1:3]); os.dup2(r, 3); os.dup2(w, 4); "
    "os.set_inheritable(3, True); os.set_inheritable(4, True); os.execv(sys.argv[3], sys.argv[3:])"
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
)
PATIENCE = 60.0  # seconds
# The middle of an element, as soon as it stands still and nothing covers it.
MIDDLE = """async element => {
  let last = "";
  for (;;) {
    element.scrollIntoView({block: "center", behavior: "instant"});
    const box = element.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const hit = document.elementFromPoint(x, y);
    if (hit && element.contains(hit) && last === `${x} ${y}`) return [x, y];
    last = `${x} ${y}`;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}"""


class Browser:
    """A browser with one page. `problems` are what its console said and what scripts threw, `requests` what it asked for."""

    def __init__(self, profile: Path) -> None:
        assert PROGRAM is not None
        from_us, self._to = os.pipe()
        self._from, from_it = os.pipe()
        flags = (*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank")
        command = [sys.executable, "-SEc", LAUNCH, str(from_us), str(from_it), PROGRAM, *flags]
        log = subprocess.DEVNULL
        self._process = subprocess.Popen(command, pass_fds=(from_us, from_it), stdout=log, stderr=log)
        os.close(from_us)
        os.close(from_it)
        self._buffer, self._count, self._session = b"", 0, None
        self.problems: list[str] = []
        self.requests: list[str] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a method of the protocol."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._event(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], PATIENCE)
            part = os.read(self._from, 1 << 20) if ready else b""
            if not part:
                raise RuntimeError("the browser does not answer")
            self._buffer += part
        text, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(text)

    def _event(self, message: dict[str, Any]) -> None:
        found = message.get("params", {})
        method = message.get("method")
        if method == "Runtime.consoleAPICalled":
            self.problems.append(" ".join(str(each.get("value", each)) for each in found["args"]))
        elif method == "Runtime.exceptionThrown":
            details = found["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded":
            self.problems.append(found["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(found["request"]["url"])

    def open(self, path: Path, width: int = 1400, height: int = 900, **media: str) -> float:
        """Load a page and wait until all its figures are drawn; returns the seconds this took."""
        self.resize(width, height)
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.problems.clear()
        self.requests.clear()
        self.call("Page.navigate", url="about:blank")
        begun = time.perf_counter()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.readyState === 'complete' && document.documentElement.dataset.ready === 'yes'")
        return time.perf_counter() - begun

    def resize(self, width: int, height: int) -> None:
        """Give the window a size in CSS pixels; below 600 it is a telephone's."""
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", "an exception"))
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise RuntimeError(f"still not true: {expression}; {self.problems}")
            time.sleep(0.01)

    def settle(self) -> None:
        """Wait until the page has drawn what a filter keeps."""
        self.wait("document.documentElement.dataset.ready === 'yes'")

    def press(self, key: str) -> None:
        """Press a key, with the text and code that a keyboard gives."""
        text = {"Enter": "\r", "Space": " "}.get(key, "")
        name = " " if key == "Space" else key
        codes = {"Enter": 13, "Space": 32, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "Escape": 27}
        event = {"key": name, "code": key, "windowsVirtualKeyCode": codes[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, selector: str) -> None:
        """Click the middle of an element with the mouse, once the page has drawn what it draws."""
        self.settle()
        x, y = self.evaluate(f"({MIDDLE})(document.querySelector({json.dumps(selector)}))")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        """Save a picture of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def pdf(self, path: Path) -> None:
        """Print the page."""
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"]))

    def close(self) -> None:
        """End the browser."""
        try:
            self._session = None
            self.call("Browser.close")
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._to)
            os.close(self._from)
