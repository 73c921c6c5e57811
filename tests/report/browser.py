"""A headless browser for tests: Chromium, spoken to in its DevTools protocol over two pipes.

The browser reads commands from file descriptor 3 and writes answers and events to 4; a message is
JSON and ends with a NUL byte. So no library beyond Python's own is needed.
https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0
"""Seconds to wait for an answer; a busy machine may need many of them to start a browser."""

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)

# Puts the pipes where the browser looks for them, then becomes the browser. Not by
# `preexec_fn`: that runs Python after a fork, which threads of the test process can block.
_LAUNCH = (
    "import os, sys; commands, answers, *command = sys.argv[1:]; "
    "os.dup2(int(commands), 3); os.dup2(int(answers), 4); "
    "os.close(int(commands)); os.close(int(answers)); os.execv(command[0], command)"
)


def find_browser() -> str | None:
    """Path of the first browser there is of those in `NAMES`; None without one."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class BrowserError(Exception):
    """The browser refused a command, raised in the page, fell silent or ended."""


class Browser:
    """A running browser with one page.

    Args:
        path: The browser's program.
        folder: Where it keeps its profile and its log.

    Example:
        >>> with Browser(find_browser(), tmp_path) as browser:
        ...     browser.open(page.as_uri())
        ...     browser.evaluate("document.title")
    """

    def __init__(self, path: str, folder: Path) -> None:
        self.log = folder / "browser.log"
        self.events: list[dict[str, Any]] = []
        self._unread = b""
        self._sent = 0
        self._session: str | None = None
        reads, self._write = _pipe()
        self._read, writes = _pipe()
        command = [path, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        launch = [sys.executable, "-S", "-c", _LAUNCH, str(reads), str(writes), *command]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                launch, pass_fds=(reads, writes), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        os.close(reads)
        os.close(writes)

    def __enter__(self) -> Self:
        try:
            targets = self.send("Target.getTargets")["targetInfos"]
            page = next(target["targetId"] for target in targets if target["type"] == "page")
            attached = self.send("Target.attachToTarget", targetId=page, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.send(f"{domain}.enable")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its end of the pipes, at which the browser ends; end it where it does not."""
        os.close(self._write)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Give a command and wait for its answer; events that come meanwhile are kept.

        Args:
            method: Such as `Page.navigate`.
            params: Its parameters.

        Raises:
            BrowserError: It was refused, or no answer came.
        """
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        unsent = json.dumps(message).encode() + b"\0"
        try:
            while unsent:
                unsent = unsent[os.write(self._write, unsent) :]
        except BrokenPipeError as error:
            raise self._ended(method) from error
        answer = self._await(method, lambda found: found.get("id") == message["id"])
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, url: str) -> None:
        """Go to an address and wait until it and its images are loaded; forgets earlier events."""
        self.events.clear()
        found = self.send("Page.navigate", url=url)
        if "errorText" in found:
            raise BrowserError(f"{url}: {found['errorText']}")
        if not self.named("Page.loadEventFired"):
            self._await("loading", lambda event: event.get("method") == "Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, a promise awaited.

        Raises:
            BrowserError: It raised in the page.
        """
        found = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return found["result"].get("value")

    def resize(self, width: int, height: int = 800) -> None:
        """Set the size of the window's inside, in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def emulate(self, *, media: str = "", scheme: str = "light") -> None:
        """Set what media queries see.

        Args:
            media: `print` or `screen`; empty for what it is.
            scheme: `light` or `dark`.
        """
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", media=media, features=features)

    def press(self, key: str, text: str = "", code: int = 9) -> None:
        """Press and let go of a key.

        Args:
            key: Its name, such as `Tab`.
            text: What it types, if anything.
            code: Its number on Windows.
        """
        pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
        self.send("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send an event of the mouse, and wait until the page has drawn what follows from it.

        Args:
            kind: Such as `mouseMoved`.
            x: Pixels from the window's left edge.
            y: Pixels from its top.
            more: What else the event has.
        """
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)
        self.evaluate("new Promise(done => setTimeout(() => requestAnimationFrame(done), 100))")

    def click(self, x: float, y: float) -> None:
        """Click at a place in the window."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left" if kind != "mouseMoved" else "none", clickCount=1)

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as a PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def pdf(self, path: Path) -> None:
        """Print the page on A4."""
        printed = self.send(
            "Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=True
        )
        path.write_bytes(base64.b64decode(printed["data"]))

    def named(self, method: str) -> list[dict[str, Any]]:
        """Parameters of the events of a name since the page was opened."""
        return [event["params"] for event in self.events if event["method"] == method]

    def _await(self, what: str, wanted: Any) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while True:
            message = self._receive(what, end)
            if "method" in message:
                self.events.append(message)
                if message["method"] == "Page.javascriptDialogOpening":
                    # An open dialog would stop the page; that it opened is on record.
                    self._dismiss()
            if wanted(message):
                return message

    def _receive(self, what: str, end: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise BrowserError(f"{what}: no answer in {PATIENCE:.0f} s{self._last_words()}")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise self._ended(what)
            self._unread += part
        message, self._unread = self._unread.split(b"\0", 1)
        return json.loads(message)

    def _dismiss(self) -> None:
        command = {
            "id": 0,
            "method": "Page.handleJavaScriptDialog",
            "params": {"accept": False},
            "sessionId": self._session,
        }
        os.write(self._write, json.dumps(command).encode() + b"\0")

    def _ended(self, what: str) -> BrowserError:
        return BrowserError(f"{what}: the browser ended{self._last_words()}")

    def _last_words(self) -> str:
        return "\n" + self.log.read_text(errors="replace")[-2000:]


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are out of the way of 3 and 4, and closed in other child processes."""
    low = os.pipe()
    ends = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
    for end in low:
        os.close(end)
    return ends[0], ends[1]
