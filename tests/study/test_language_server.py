"""What an editor makes of a study: a real YAML language server, given the schema."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.study.schema import study_schema

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / "build" / "language-server"
PACKAGE = "yaml-language-server@1.25.0"
FIRST_LINE = "# yaml-language-server: $schema=study.schema.json\n"


class LanguageServer:
    """A running server, spoken to over its standard streams (Language Server Protocol 3.17).

    Args:
        command: How it is started.
        folder: Where the studies are.
    """

    def __init__(self, command: list[str], folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._asked = 0
        self._diagnostics: dict[str, list[dict[str, Any]]] = {}
        self._ask("initialize", processId=None, rootUri=folder.as_uri(), capabilities={})
        self._tell("initialized")

    def stop(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.communicate()

    def problems(self, name: str, text: str) -> list[tuple[int, str]]:
        """Open a study; what is underlined: line, counted from 0, and message."""
        uri = (self.folder / name).as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", textDocument=document)
        while uri not in self._diagnostics:
            self._read()
        return [(d["range"]["start"]["line"], d["message"]) for d in self._diagnostics[uri]]

    def offered(self, name: str, line: int, column: int) -> set[str]:
        """What is offered at a place of an open study, to complete it."""
        found = self._ask("textDocument/completion", **self._at(name, line, column))
        return {item["label"] for item in found["items"]}

    def shown(self, name: str, line: int, column: int) -> str:
        """What is shown over a place of an open study."""
        text: str = self._ask("textDocument/hover", **self._at(name, line, column))["contents"][
            "value"
        ]
        return text

    def _at(self, name: str, line: int, column: int) -> dict[str, Any]:
        document = {"uri": (self.folder / name).as_uri()}
        return {"textDocument": document, "position": {"line": line, "character": column}}

    def _tell(self, method: str, **params: Any) -> None:
        self._send({"method": method, "params": params})

    def _ask(self, method: str, **params: Any) -> Any:
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": params})
        while True:
            message = self._read()
            if message.get("id") == self._asked and "method" not in message:
                return message["result"]

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        stream, length = self._process.stdout, 0
        assert stream is not None
        while header := stream.readline().strip():
            if header.lower().startswith(b"content-length:"):
                length = int(header.partition(b":")[2])
        message: dict[str, Any] = json.loads(stream.read(length))
        if "method" in message and "id" in message:  # it asks for settings of the editor's
            items = message["params"].get("items", [])
            self._send({"id": message["id"], "result": [None] * len(items)})
        if message.get("method") == "textDocument/publishDiagnostics":
            params = message["params"]
            self._diagnostics[params["uri"]] = params["diagnostics"]
        return message


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    program = INSTALLED / "node_modules" / ".bin" / "yaml-language-server"
    if not program.exists():
        if shutil.which("npm") is None:
            pytest.skip("node is not here")
        npm = ["npm", "install", "--silent", "--no-save", "--prefix", str(INSTALLED), PACKAGE]
        if subprocess.run(npm, check=False).returncode:
            pytest.skip("the language server could not be installed")
    folder = tmp_path_factory.mktemp("studies")
    (folder / "study.schema.json").write_text(json.dumps(study_schema()))
    running = LanguageServer([str(program), "--stdio"], folder)
    yield running
    running.stop()


def test_every_shipped_study_is_valid_in_an_editor(server: LanguageServer) -> None:
    shipped = sorted((ROOT / "ablations").glob("*.yaml"))
    found = {file.name: server.problems(file.name, file.read_text()) for file in shipped}
    assert len(found) > 15 and not any(found.values()), found


def test_a_slip_is_underlined_in_its_line(server: LanguageServer) -> None:
    study = f"{FIRST_LINE}title: x\nbase: ropanet\naxes:\n  model.gate: [sigmoid, noen]\nseds: 3\n"
    lines = {line for line, _ in server.problems("slip.yaml", study)}
    assert lines >= {4, 5}


def test_a_setting_shows_what_it_means(server: LanguageServer) -> None:
    study = f"{FIRST_LINE}title: x\nbase: ropanet\naxes:\n  model.gate: [sigmoid, none]\nseeds: 3\n"
    assert server.problems("hover.yaml", study) == []
    assert "the feature map times a learned mask" in server.shown("hover.yaml", 4, 6)


BASE, AXES = "base:\n  preset: {0}\n  mod\naxes: {{}}\n", "base: {0}\naxes:\n  mod\n"


@pytest.mark.parametrize("form", [BASE, AXES], ids=["base", "axes"])
def test_a_study_of_one_system_is_offered_its_own_settings(
    server: LanguageServer, form: str
) -> None:
    offered = {}
    for preset in ("ropanet_baseline", "as_released", "fashionnet"):
        study = f"{FIRST_LINE}title: x\n{form.format(preset)}seeds: 3\n"
        name = f"{preset}_{len(form)}.yaml"
        server.problems(name, study)
        offered[preset] = server.offered(name, study.splitlines().index("  mod"), 5)
    assert {"model.pooling", "train.epochs"} <= offered["ropanet_baseline"]
    assert {"model.gate", "landmarks.weight", "train.epochs"} <= offered["as_released"]
    assert {"model.conv5_depth", "pose.absent", "train.epochs"} <= offered["fashionnet"]
    for preset, foreign in (
        ("ropanet_baseline", {"model.gate", "landmarks.weight", "model.conv5_depth"}),
        ("as_released", {"model.conv5_depth", "pose.absent"}),
        ("fashionnet", {"model.gate", "landmarks.weight"}),
    ):
        assert not offered[preset] & foreign


def test_a_study_whose_levels_change_the_preset_is_offered_every_setting(
    server: LanguageServer,
) -> None:
    levels = "  system:\n    points: {base: fashionnet}\n    mask: {}\n"
    study = f"{FIRST_LINE}title: x\nbase: ropanet\naxes:\n{levels}  mod\nseeds: 3\n"
    server.problems("both.yaml", study)
    offered = server.offered("both.yaml", study.splitlines().index("  mod"), 5)
    assert {"model.gate", "model.conv5_depth"} <= offered
