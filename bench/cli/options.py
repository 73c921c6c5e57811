"""Options that several commands share, and the request for a study that they make up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.engine.request import StudyRequest

STUDY = "A study's YAML file, or the name of a shipped one, such as mask_gate."
Study = Annotated[Path, typer.Argument(help=STUDY, show_default=False)]
Studies = Annotated[
    list[Path], typer.Argument(help=f"{STUDY} Several may be given.", show_default=False)
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the data: DeepFashion's layout, or one folder per class. Without it: the "
        "phantom.",
        envvar="BENCH_DATA",
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(help="smoke, laptop (default without --data) or paper (default with it)."),
]
Results = Annotated[Path, typer.Option(help="Results folder.", envvar="BENCH_RESULTS")]
Cache = Annotated[
    Path, typer.Option(help="Folder for the phantom, weights, features.", envvar="BENCH_CACHE")
]
Only = Annotated[list[str] | None, typer.Option(help="Use only this arm; repeat for more.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="PATH=VALUE, overrides the study's setting; repeat for more."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Trials at the same time; as many as fit by default.")
]
UntilSettled = Annotated[
    bool,
    typer.Option(
        "--until-settled",
        help="Go on after the study's fixed seeds, which are the first look, until every arm is "
        "better, worse or equivalent; 60 seeds at most.",
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(
        help="What Keras computes with, in native arithmetic where it is another than the study's: "
        "other numbers, and so other trials.",
        envvar="KERAS_BACKEND",
        metavar="[tensorflow|jax|torch]",
    ),
]
KeepModels = Annotated[
    str | None,
    typer.Option(
        help="Keep the trained weights with each trial: of its best epoch, its last one, or none. "
        "Without it: what the study says, which is none where it does not.",
        metavar="[best|last|none]",
    ),
]
ScaleToData = Annotated[
    bool,
    typer.Option(
        "--scale-to-data",
        help="Make sizes that are more than the data has fit it; arms that differ in one still do.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

RESULTS, CACHE = Path("results"), Path(".cache")


def study_request(
    study: Path,
    data: Path | None,
    profile: str | None,
    only: list[str] | None,
    settings: list[str] | None,
    until_settled: bool,
    backend: str | None = None,
    keep_models: str | None = None,
    scale_to_data: bool = False,
) -> StudyRequest:
    """What the user asked for, from the options that `run` and `plan` share.

    Raises:
        BenchError: There is no such profile, backend or models, or a `--set` is not PATH=VALUE.
    """
    from bench.engine.request import StudyRequest
    from bench.study.presets import PROFILES
    from bench.study.settings.training import Backend as Backends
    from bench.study.study import KeepModels as Kept

    if profile is not None and profile not in PROFILES:
        raise BenchError(f"no profile `{profile}`", fix=f"profiles: {', '.join(PROFILES)}")
    if backend not in (None, *get_args(Backends)):
        raise BenchError(
            f"no backend `{backend}`", fix=f"backends: {', '.join(get_args(Backends))}"
        )
    if keep_models not in (None, *get_args(Kept)):
        raise BenchError(
            f"no models `{keep_models}`", where="--keep-models", fix="give best, last or none"
        )
    return StudyRequest(
        study=study,
        data=data,
        profile=profile,
        only=tuple(only or ()),
        settings=_settings(settings or []),
        until_settled=until_settled,
        backend=cast("Backends | None", backend),
        keep_models=cast("Kept | None", keep_models),
        scale_to_data=scale_to_data,
    )


def _settings(pairs: list[str]) -> dict[str, Any]:
    from bench.files.yaml import parse_yaml

    settings = {}
    for pair in pairs:
        path, equals, value = pair.partition("=")
        if not equals or not path:
            raise BenchError(f"found `{pair}`", where="--set", fix="write PATH=VALUE")
        settings[path] = parse_yaml(value, "--set").value
    return settings
