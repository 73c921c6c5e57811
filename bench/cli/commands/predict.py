"""`bench predict`: what a trial's model predicts for images of one's own."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from bench.cli.commands.model import OfEpoch, Overwrite, known_epoch, print_found
from bench.cli.console import err, out, print_json
from bench.cli.options import CACHE, RESULTS, AsJson, Cache, Data, Results
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.engine.model import TrainedTrial
    from bench.train.predict import Prediction

app = typer.Typer()


@app.command(
    epilog="Examples:\n\n  bench predict mask_gate gate=none 0 photo.jpg --out drawn/\n\n"
    "  bench predict 0123456789abcdef photos/ --json > predictions.json\n\n"
    "Exit code 1 if an image cannot be read."
)
def predict(
    words: Annotated[
        list[str],
        typer.Argument(
            help="The trial (its identity, or the beginning of it; or STUDY ARM SEED), then images "
            "and folders of images.",
            metavar="TRIAL IMAGE...",
            show_default=False,
        ),
    ],
    to: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for a picture of each image with what is predicted."),
    ] = None,
    epoch: OfEpoch = None,
    overwrite: Overwrite = False,
    data: Data = None,
    results: Results = RESULTS,
    cache: Cache = CACHE,
    as_json: AsJson = False,
) -> None:
    """Predict classes, landmarks and the mask gate of images of your own."""
    from bench.cli.progress import phase_bar, retraining
    from bench.engine.model import trained_trial
    from bench.files.disk import report_disk_full
    from bench.store.find import find_trial
    from bench.store.trials import Store

    store, wanted = Store(results), known_epoch(epoch)
    identity, used = find_trial(store, words)
    images = _images([Path(word) for word in words[used:]])
    pictures = {} if to is None else _pictures(images, to, overwrite=overwrite)
    with report_disk_full(*filter(None, (to, results, cache))):
        found = trained_trial(store, identity, retraining(cache, None, data, err), wanted)
        if not as_json:
            print_found(out, found)
        printed: list[dict[str, Any]] = []
        # On a terminal the bar stays below what is printed; elsewhere it is no part of it.
        with phase_bar(out if out.is_terminal and not as_json else err) as say:
            shown = _predicted(found, list(images), results)
            for done, prediction in enumerate(shown, start=1):
                printed.append(prediction.to_json() | _drawn(prediction, pictures))
                if not as_json:
                    print_prediction(prediction)
                say("images", done, len(images))
    if as_json:
        print_json({"trial": identity, "epoch": found.kept.epoch, "images": printed})
    unreadable = sum("fault" in one for one in printed)
    if unreadable:
        err.print(f"{unreadable:,} of {len(images):,} images cannot be read", style="red")
        raise typer.Exit(1)


def print_prediction(prediction: Prediction) -> None:
    """Print the best classes of an image, or why it cannot be read."""
    out.print(f"[bold]{escape(str(prediction.image))}[/]")
    if prediction.fault:
        out.print(f"  [red]cannot be read:[/] {escape(prediction.fault)}")
        return
    best = ", ".join(f"{name} {100 * share:.1f} %" for name, share in prediction.classes)
    out.print(f"  {best}", markup=False)


def _images(paths: Sequence[Path]) -> dict[Path, Path]:
    """The files that are named and every image in the folders that are -> a name for each.

    A file's name is its own, an image's in a folder its path from there; a second one of a name is
    numbered.
    """
    from bench.data.tree import IMAGE_SUFFIXES

    images: dict[Path, Path] = {}
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = [
                inner
                for inner in sorted(path.rglob("[!.]*"))
                if inner.suffix.lower() in IMAGE_SUFFIXES and inner.is_file()
            ]
        if not inside:
            raise BenchError(
                "is a folder without images",
                where=str(path),
                fix=f"name one that holds {', '.join(IMAGE_SUFFIXES)} files",
            )
        base = path if path.is_dir() else path.parent
        images |= {image: image.relative_to(base) for image in inside if image not in images}
    if not images:
        raise BenchError(
            "no image was named", where="bench predict", fix="name images after the trial"
        )
    return images


def _pictures(images: dict[Path, Path], to: Path, *, overwrite: bool) -> dict[Path, Path]:
    """Image -> the picture to draw of it, each of a name of its own."""
    taken = Counter[Path]()
    pictures = {}
    for image, name in images.items():
        taken[name] += 1
        number = f"-{taken[name]}" if taken[name] > 1 else ""
        pictures[image] = to / name.with_name(f"{name.name}{number}.png")
    there = next((path for path in pictures.values() if path.exists()), None)
    if there is not None and not overwrite:
        raise BenchError(
            "is there already",
            where=str(there),
            fix="give another folder with `--out`, or add `--overwrite`",
        )
    return pictures


def _predicted(found: TrainedTrial, images: Sequence[Path], results: Path) -> Iterator[Prediction]:
    from bench.engine.process import output_in
    from bench.train.predict import predict_images

    with output_in(results / "logs" / f"predict.{os.getpid()}.log"):
        from bench.train.whole_model import whole_model

        model = whole_model(found.record, found.kept)
    yield from predict_images(model, found.record.data["class_names"], images)


def _drawn(prediction: Prediction, pictures: dict[Path, Path]) -> dict[str, Any]:
    """The picture of a prediction, once it is drawn; nothing where none is wanted, or can be."""
    if prediction.fault or prediction.image not in pictures:
        return {}
    from bench.files.atomic import new_file
    from bench.report.prediction import draw_prediction

    picture = pictures[prediction.image]
    with new_file(picture) as draft:
        draw_prediction(prediction, draft)
    return {"picture": str(picture)}
