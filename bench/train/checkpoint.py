"""Where a long trial stands, kept on disk, so that a killed one goes on from its last whole epoch.

Everything random in a trial comes from its seed, the epoch and the batch, or by a layer whose
random state is kept with its weights, so a trial that goes on ends with the weights of one that was
never disturbed, to the last bit.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench.files.atomic import new_folder, write_json
from bench.files.checksums import file_checksum

STATE, ABOUT = "state.npz", "about.json"


@dataclass(frozen=True)
class Checkpoints:
    """Where checkpoints are kept, and how often they are written.

    Args:
        folder: A folder for this trial alone; made when the first is written.
        seconds: At most one checkpoint in so many seconds; 0 for one after each epoch.
    """

    folder: Path
    seconds: float = 60.0


@dataclass(frozen=True)
class CheckpointState:
    """Where a trial stood.

    Args:
        epoch: Epochs done.
        logs: Keras' logs of each.
        arrays: The model's and the optimiser's variables and the best weights, by name.
        lowest: Lowest validation loss so far, where the best weights are kept.
    """

    epoch: int
    logs: list[dict[str, float]]
    arrays: dict[str, np.ndarray]
    lowest: float | None


class CheckpointWriter(keras.callbacks.Callback):
    """Writes a checkpoint at the end of an epoch; the last of the callbacks.

    Args:
        checkpoints: Where and how often.
        trial: Identity of the trial.
        best: The callback that keeps the best epoch's weights, where there is one.
        earlier: Logs of the epochs done before this process.
    """

    def __init__(
        self, checkpoints: Checkpoints, trial: str, best: Any, earlier: list[dict[str, float]]
    ) -> None:
        super().__init__()
        self._checkpoints, self._trial, self._best = checkpoints, trial, best
        self._logs = list(earlier)
        self._last = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write where the trial stands, unless it ends here or one was written just now."""
        self._logs.append({name: float(value) for name, value in (logs or {}).items()})
        ends = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if ends or time.monotonic() - self._last < self._checkpoints.seconds:
            return
        arrays = {
            f"{kind}_{index}": keras.ops.convert_to_numpy(variable.value)
            for kind, variables in state(self.model).items()
            for index, variable in enumerate(variables)
        }
        lowest = None
        if self._best is not None and self._best.weights is not None:
            lowest = self._best.lowest
            arrays |= {f"best_{i}": np.asarray(w) for i, w in enumerate(self._best.weights)}
        _write(
            self._checkpoints.folder,
            self._trial,
            CheckpointState(epoch + 1, self._logs, arrays, lowest),
        )
        self._last = time.monotonic()


def _write(folder: Path, trial: str, resumed: CheckpointState) -> None:
    """Replace the checkpoint by a newer one, whole or not at all."""
    # Left by this trial's killed workers: only the holder of its claim writes its checkpoint.
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    old = folder.with_name(f".{folder.name}.old")
    with new_folder(folder, make_way=lambda: folder.exists() and folder.rename(old)) as draft:
        np.savez(draft / STATE, **resumed.arrays)  # type: ignore[arg-type]
        write_json(
            draft / ABOUT,
            {
                "trial": trial,
                "versions": _versions(),
                "epoch": resumed.epoch,
                "logs": resumed.logs,
                "lowest": resumed.lowest,
                "sha256": file_checksum(draft / STATE),
            },
            sort_keys=False,  # the order of an epoch's metrics is that of the history
        )
    shutil.rmtree(old, ignore_errors=True)


def read_checkpoint(folder: Path, trial: str) -> CheckpointState | None:
    """Where a trial stood; None where there is no whole checkpoint of it by these versions."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if (about["trial"], about["versions"]) != (trial, _versions()):
            return None
        if about["sha256"] != file_checksum(folder / STATE):
            return None
        with np.load(folder / STATE, allow_pickle=False) as state:
            arrays = {name: state[name] for name in state.files}
        return CheckpointState(about["epoch"], about["logs"], arrays, about["lowest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # none, or damaged: the trial begins anew, and ends the same


def restore(model: Any, resumed: CheckpointState, best: Any) -> None:
    """Put a compiled model, its optimiser and the best weights back to where they stood.

    Args:
        model: The model, compiled.
        resumed: Where it stood.
        best: The callback that keeps the best epoch's weights, where there is one.
    """
    model.optimizer.build(model.trainable_variables)
    for kind, variables in state(model).items():
        values = _in_order(resumed.arrays, f"{kind}_")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    if best is not None and resumed.lowest is not None:
        best.initial_best = (resumed.lowest, _in_order(resumed.arrays, "best_"))


def state(model: Any) -> dict[str, list[Any]]:
    """Variables that an epoch changes: weights and layers' random states, and the optimiser's."""
    return {"model": model.variables, "optimizer": model.optimizer.variables}


def _in_order(arrays: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    names = [name for name in arrays if name.startswith(prefix)]
    return [arrays[f"{prefix}{index}"] for index in range(len(names))]


def _versions() -> dict[str, Any]:
    """What must be the same for a trial to go on as if nothing had happened."""
    return {
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "numpy": np.__version__,
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }
