"""A trial and a study run from a notebook, with real Ray and real Keras on the smoke profile."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench
from bench.store.trials import Store


def test_a_trial_run_alone_is_the_studys_and_what_has_ended_is_not_trained_again(
    tmp_path: Path, own_warm_cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results, study = tmp_path / "results", tmp_path / "study.yaml"
    study.write_text("base: {preset: ropanet_baseline, train.epochs: 1}\nseeds: [5]\n")
    folders = {"results": results, "cache": own_warm_cache}
    spec = {"preset": "ropanet_baseline", "train.epochs": 1, "seed": 5}
    record = bench.run_trial(spec, profile="smoke", **folders)
    assert record.spec["seed"] == 5 and 0 <= record.metrics["accuracy"] <= 1
    assert "trials: 1 of 1" in capfd.readouterr().out

    assert bench.run_trial(record.spec, **folders).id == record.id
    found = bench.run(study, profile="smoke", **folders).frame()
    assert found[["trial", "status"]].to_dict("list") == {
        "trial": [record.id], "status": ["finished"],
    }  # fmt: skip
    assert capfd.readouterr().out == ""

    other = Store(tmp_path / "other")
    other.write_failure(record.id, {"kind": "diverged", "error": "the loss became nan"})
    with pytest.raises(bench.BenchError, match="diverged: the loss became nan"):
        bench.run_trial(spec, profile="smoke", results=other.root, cache=own_warm_cache)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"preset": "ropanett"}, "did you mean `ropanet`"),
        ({"model.gat": "none"}, "did you mean `model.gate`"),
        ({"seed": "x"}, "a valid integer; found 'x'"),
    ],
)
def test_a_spec_at_fault_is_one_clear_error(spec: dict[str, str], message: str) -> None:
    with pytest.raises(bench.BenchError, match=message):
        bench.run_trial(spec)
