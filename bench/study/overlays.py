"""Settings as overlays: preset, profile, a study's base, an arm's levels, each over the last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.files.processor import has_avx2
from bench.files.yaml import Located
from bench.study.presets import presets, profile_settings, source_settings
from bench.systems.ledger import as_released


@dataclass(frozen=True)
class Overlay:
    """Settings from one place.

    Args:
        settings: Dotted path -> value.
        source: The file they were read from; None for the bench's own and the command line's.
        at: Where in that file.
    """

    settings: dict[str, Any]
    source: Located | None
    at: tuple[str | int, ...]

    def position(self, path: tuple[str, ...]) -> Any:
        """Where a setting of this overlay stands in its file."""
        if self.source is None:
            return "--set"
        for start in range(len(path), 0, -1):
            head = ".".join(path[:start])
            for keys in ((*self.at, head, *path[start:]), (*self.at, head), (*self.at, *path)):
                if keys in self.source.positions:
                    return self.source.positions[keys]
        within = f"{'.'.join(path)}."
        for keys, position in self.source.positions.items():
            if keys[:-1] == self.at and str(keys[-1]).startswith(within):
                return position
        return self.source.where(self.at)


def flatten(plain: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings as dotted paths; a mapping that names its `kind` stays whole beside them.

    Example:

        flatten({"train": {"epochs": 3}, "model.gate": "none"})
        # {"train.epochs": 3, "model.gate": "none"}
    """
    flat: dict[str, Any] = {}
    for key, value in plain.items():
        path = f"{before}{key}"
        if isinstance(value, Mapping) and "kind" in value:
            flat[path] = {"kind": value["kind"]}
            rest = {inner: v for inner, v in value.items() if inner != "kind"}
            flat |= flatten(rest, f"{path}.")
        elif isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{path}.")
        else:
            flat[path] = value
    return flat


def put(plain: dict[str, Any], path: str, value: Any) -> None:
    """Set a dotted path in nested mappings.

    A mapping with another `kind` than the one in place takes its place; else they are merged.
    """
    *parents, last = path.split(".")
    for key in parents:
        inner = plain.get(key)
        plain[key] = inner = dict(inner) if isinstance(inner, dict) else {}
        plain = inner
    old = plain.get(last)
    if isinstance(value, dict) and isinstance(old, dict) and "kind" in value:
        same = value["kind"] == old.get("kind")
        plain[last] = old | value if same else dict(value)
    else:
        plain[last] = value


def stacked(overlays: Iterable[Overlay]) -> dict[str, Any]:
    """Layers as nested mappings, later ones winning."""
    plain: dict[str, Any] = {}
    for overlay in overlays:
        for path, value in overlay.settings.items():
            put(plain, path, value)
    return plain


def base_overlays(
    preset: str, profile: str, data_source: dict[str, Any] | None
) -> Iterator[Overlay]:
    """What lies below a study's own settings.

    Args:
        preset: Name of the base.
        profile: Name of the profile.
        data_source: Settings of the data source given on the command line, None without one.

    A profile's portable arithmetic is native on a processor that cannot do it: those are then other
    trials, as they are other numbers.
    """
    known, chain = presets(), [preset]
    while "extends" in known[chain[-1]]:
        chain.append(known[chain[-1]]["extends"])
    scaled = profile_settings(profile)
    own = [known[name] for name in reversed(chain)]
    for settings in own:
        yield Overlay(flatten(_plain(settings)), None, ())
    yield Overlay(flatten(scaled["every"]), None, ())
    for name in reversed(chain):
        settings = scaled["presets"].get(name, {})
        if "extends" in settings:
            yield Overlay(flatten(_plain(known[settings["extends"]])), None, ())
        yield Overlay(flatten(_plain(settings)), None, ())
    if not has_avx2() and any(
        settings.get("train", {}).get("arithmetic") == "portable"
        for settings in (scaled["presets"].get(name, {}) for name in chain)
    ):
        yield Overlay({"train.arithmetic": "native"}, None, ())
    # Above the profile: what the released code did is not scaled away.
    if any(settings.get("ledger") == "released" for settings in own):
        yield Overlay(as_released(), None, ())
    if data_source is not None:
        yield Overlay({"data.source": data_source}, None, ())
        yield Overlay(flatten(source_settings(data_source["kind"])), None, ())


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a preset sets itself."""
    return {key: value for key, value in settings.items() if key not in ("extends", "ledger")}
