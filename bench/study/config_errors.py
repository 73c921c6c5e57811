"""From a validation error deep inside a trial's settings to the line of YAML that caused it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bench.errors import BenchError
from bench.files.yaml import did_you_mean, nearest
from bench.study.overlays import Overlay
from bench.study.trial import TrialSpec, system_settings
from bench.systems.settings import SystemSettings


def explain(
    error: ValidationError, plain: dict[str, Any], overlays: Sequence[Overlay]
) -> BenchError:
    """The first fault as one message: where, what was found, what was expected, what is nearest.

    Args:
        error: The validation error.
        plain: The settings that were validated.
        overlays: Where they came from, later ones winning.
    """
    first = error.errors()[0]
    path = _path(first, plain)
    found = first["input"]
    if first["type"] == "union_tag_invalid":
        path, found = (*path, "kind"), first["ctx"]["tag"]
    dotted = ".".join(path)
    where = _position(path, overlays)
    if first["type"] == "extra_forbidden":
        return BenchError(
            f"{_owner(path, plain)} has no setting `{dotted}` and would ignore it",
            where=where,
            fix=_instead(path, plain),
        )
    context = first.get("ctx", {})
    if first["type"] == "ignored_setting":
        return BenchError(str(first["msg"]), where=where, fix=f"found {_shown(found, path, plain)}")
    expected = str(context.get("expected") or context.get("expected_tags") or "")
    return BenchError(
        f"`{dotted}`: {first['msg'][0].lower()}{first['msg'][1:]}; found {found!r:.80}",
        where=where,
        fix=did_you_mean(
            str(found),
            [word.strip(" '") for word in expected.replace(" or ", ",").split(",")],
            None,
        ),
    )


def _instead(path: tuple[str, ...], plain: dict[str, Any]) -> str:
    """What to do about a setting that does not exist here."""
    dotted = ".".join(path)
    choices = [name for name in settings_of(plain) if name != dotted]
    elsewhere = [
        kind for kind in _model_kinds() if dotted in settings_of({"model": {"kind": kind}})
    ]
    if path[0] == "model" and elsewhere:
        return f"only {' and '.join(elsewhere)} {'has' if len(elsewhere) == 1 else 'have'} it"
    # A setting of the same name elsewhere is a likelier slip than a similar spelling.
    same = [name for name in choices if name.rsplit(".", 1)[-1] == path[-1]]
    meant = same[0] if same else nearest(dotted, choices)
    siblings = [name for name in choices if name.rpartition(".")[0] == ".".join(path[:-1])]
    advice = [f"did you mean `{meant}`?"] if meant else []
    advice.append(f"settings there: {', '.join(siblings)}" if siblings else "see `bench schema`")
    return " ".join(advice)


@cache
def known_settings() -> frozenset[str]:
    """Dotted paths of every setting that some trial has."""
    kinds = [settings_of({"model": {"kind": kind}}) for kind in _model_kinds()]
    sources = [settings_of({"data": {"source": {"kind": kind}}}) for kind in ("phantom", "folder")]
    groups = {f"{name}.kind" for name in ("model", "data.source")}
    return frozenset(path for paths in (*kinds, *sources) for path in paths) | groups


def _model_kinds() -> list[str]:
    return list(system_settings())


def settings_of(plain: dict[str, Any]) -> list[str]:
    """Dotted paths of every setting that a trial of this shape has."""
    return list(_fields(TrialSpec, plain, ""))


def _fields(model: type[BaseModel], plain: Any, before: str) -> Iterator[str]:
    for name, info in model.model_fields.items():
        value = plain.get(name) if isinstance(plain, dict) else None
        inner = _model_of(info, value)
        if inner is None:
            yield f"{before}{name}"
        else:
            yield from _fields(inner, value, f"{before}{name}.")


def _model_of(info: FieldInfo, value: Any) -> type[BaseModel] | None:
    """The settings class that a field holds; of several kinds, the one of the value's kind."""
    kinds = [t for t in _types(info.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]
    if kinds == [SystemSettings]:
        kinds = list(system_settings().values())
    if len(kinds) < 2:
        return kinds[0] if kinds and info.annotation is not tuple else None
    kind = value.get("kind") if isinstance(value, dict) else None
    default = info.default if isinstance(info.default, BaseModel) else None
    for candidate in kinds:
        if candidate.model_fields["kind"].default == kind:
            return candidate
    return type(default) if default is not None else None


def _types(annotation: Any) -> Iterator[Any]:
    if getattr(annotation, "__origin__", None) is tuple:
        return
    inner = [arg for arg in get_args(annotation) if not isinstance(arg, FieldInfo)]
    if not inner:
        yield annotation
    for each in inner:
        yield from _types(each)


def _path(first: Any, plain: dict[str, Any]) -> tuple[str, ...]:
    """The location of an error without the tags that unions put into it."""
    context = first.get("ctx", {})
    if first["type"] == "ignored_setting" and "path" in context:
        return tuple(context["path"].split("."))
    path: list[str] = []
    here: Any = plain
    for key in first["loc"]:
        if isinstance(here, dict) and key not in here and key == here.get("kind"):
            continue
        if isinstance(here, dict) and key not in here and key != first["loc"][-1]:
            continue
        path.append(str(key))
        try:
            here = here[key]
        except (KeyError, IndexError, TypeError):
            here = None
    return tuple(path)


def _position(path: tuple[str, ...], overlays: Sequence[Overlay]) -> str:
    """Where the setting at fault, or the nearest one around it, was last set by the user."""
    for length in range(len(path), 0, -1):
        prefix = ".".join(path[:length])
        for overlay in reversed(overlays):
            if any(name == prefix or name.startswith(f"{prefix}.") for name in overlay.settings):
                if overlay.source is None and overlay is not overlays[-1]:
                    continue
                return str(overlay.position(path[:length]))
    user = [overlay for overlay in overlays if overlay.source is not None]
    return str(user[-1].position(())) if user else "--set"


def _owner(path: tuple[str, ...], plain: dict[str, Any]) -> str:
    kind = plain.get("model", {}).get("kind") if path[0] == "model" else None
    return f"the model {kind}" if kind else "a trial"


def _shown(found: Any, path: tuple[str, ...], plain: dict[str, Any]) -> str:
    here: Any = plain
    for key in path:
        here = here.get(key) if isinstance(here, dict) else None
    value = found if here is None else here
    return f"`{'.'.join(path)}`" + ("" if isinstance(value, dict) else f" = {value!r:.80}")
