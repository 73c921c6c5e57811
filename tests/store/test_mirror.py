"""Trials that go to object storage and come back, on fsspec's own memory file system."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bench.errors import BenchError
from bench.store.mirror import mirror
from bench.store.record import KeptWeights, Predictions, TrialRecord
from bench.store.trials import Store
from tests.command import bench
from tests.store.recorded import recorded

URL = "memory://bucket/ropanet"


def quiet(phase: str, done: int, total: int) -> None:
    assert done <= total


def record(identity: str) -> TrialRecord:
    images, answers = np.array(["a", "b"]), np.eye(2, dtype="f4")
    return TrialRecord(identity, {}, {}, {}, [], Predictions(images, np.array([0, 1]), answers))


def test_two_machines_share_their_trials_through_the_mirror(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    one.write(replace(record("a" * 16), weights=KeptWeights("last", b"numbers")))
    one.write_study(recorded("s", {}))
    other.write(record("b" * 16))
    found = [mirror(store, URL, quiet) for store in (one, other, one, one)]
    assert [(m.down, m.up) for m in found] == [(0, 1), (1, 1), (1, 0), (0, 0)]
    assert list(one.ids()) == list(other.ids()) == ["a" * 16, "b" * 16]
    for identity in one.ids():
        one.read(identity)
        other.read(identity)
    assert [study.name for study in other.studies()] == ["s"]
    assert other.read("a" * 16, weights=True).weights == KeptWeights("last", b"numbers")


def test_what_trials_have_in_common_is_whole_again_in_each_of_them(tmp_path: Path) -> None:
    fsspec.filesystem("memory").store.clear()
    store, new = Store(tmp_path / "compact"), Store(tmp_path / "new")
    store.write(record("a" * 16), share=True)
    mirror(store, URL, quiet)
    assert mirror(new, URL, quiet).down == 1 and not new.common.exists()
    assert list(new.read("a" * 16).predictions.images) == ["a", "b"]


def test_what_was_cut_short_or_rotted_in_the_mirror_does_not_come_down(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    store, new = Store(tmp_path / "one"), Store(tmp_path / "new")
    for letter in "abc":
        store.write(record(letter * 16))
    mirror(store, URL, quiet)
    folder = "/bucket/ropanet/trials"
    memory.rm(f"{folder}/{'a' * 16}/trial.json")  # an upload that ended early
    rotten = f"{folder}/{'b' * 16}/predictions.parquet"
    memory.pipe_file(rotten, memory.cat_file(rotten)[:-1] + b"x")
    found = mirror(new, URL, quiet)
    assert (found.down, found.damaged) == (1, ("b" * 16,))
    assert list(new.ids()) == ["c" * 16]


def test_a_url_of_no_file_system_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="nosuch"):
        mirror(Store(tmp_path), "nosuch://bucket", quiet)


class Buckets(MemoryFileSystem):
    """Object storage: a path begins with a bucket, and to make a folder makes its bucket, too."""

    protocol = "buckets"
    store: dict = {}
    pseudo_dirs = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.replace("buckets://", "/")).lstrip("/")


fsspec.register_implementation("buckets", Buckets, clobber=True)


def test_a_bucket_is_never_made_and_a_folder_in_one_is(tmp_path: Path) -> None:
    storage = fsspec.filesystem("buckets")
    store = Store(tmp_path / "one")
    store.write(record("a" * 16))
    with pytest.raises(BenchError, match="no bucket `mistyped`") as found:
        mirror(store, "buckets://mistyped/ropanet", quiet)
    assert found.value.where == "buckets://mistyped/ropanet"
    assert "make the bucket first" in str(found.value.fix)
    assert not storage.exists("mistyped")
    storage.makedirs("right")
    assert mirror(store, "buckets://right/ropanet", quiet).up == 1
    assert mirror(Store(tmp_path / "other"), "buckets://right/ropanet", quiet).down == 1


@pytest.fixture(params=["refuses", "hangs up"])
def away(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that does not answer as one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"ftp://127.0.0.1:{server.getsockname()[1]}/ropanet"
        if request.param == "refuses":
            server.close()
            yield url
            return
        server.settimeout(60)

        def hang_up() -> None:
            server.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        yield url


def test_a_server_that_is_away_is_one_message_with_the_url_and_what_to_do(
    tmp_path: Path, away: str
) -> None:
    Store(tmp_path / "results").write(record("a" * 16))
    said = " ".join(bench(tmp_path, "mirror", away, code=2).split())
    assert f"error: {away}: failed at opening it:" in said
    assert f"reaches the server, and that the URL is right; then `bench mirror {away}` goes" in said
