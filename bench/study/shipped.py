"""The studies that come with the bench, and how a study is found that is given by its name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from bench.errors import BenchError
from bench.files.yaml import did_you_mean

FOLDER = Path("ablations")
"""Where the studies lie in a repository, and where `bench init` writes them."""


def shipped_studies() -> dict[str, Path]:
    """Name -> file of each study that comes with the bench."""
    # In the repository a link to the folder at its top; in a wheel the files themselves.
    folder = Path(str(resources.files("bench") / FOLDER.name))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def find_study(given: Path) -> Path:
    """The file of a study, given by its path or, if it has neither folder nor ending, by its name.

    A name stands for a file here or in `ablations/`, so that a study that was changed is the one
    that is taken, or else for the shipped study.

    Args:
        given: A path or a name.

    Raises:
        BenchError: There is no study of that name.
    """
    name, shipped = str(given), shipped_studies()
    if given.suffix in (".yaml", ".yml") and given.stem in shipped and not given.exists():
        raise BenchError(
            "no such file",
            where=name,
            fix=f"give `{given.stem}` for the study that comes with the bench, or `bench init` it",
        )
    if given.is_file() or given.suffix in (".yaml", ".yml") or name != given.name:
        return given  # reading it says what is wrong with it
    here = [Path(f"{name}.yaml"), FOLDER / f"{name}.yaml"]
    found = next((file for file in here if file.is_file()), shipped.get(name))
    if found is not None:
        return found
    known = {*shipped, *(file.stem for part in here for file in part.parent.glob("*.yaml"))}
    raise BenchError(
        f"no study of that name: neither {here[0]} nor {here[1]} is there, and none that comes "
        "with the bench is called so",
        where=name,
        fix=did_you_mean(name, sorted(known), f"give a file, or one of: {', '.join(shipped)}"),
    )
