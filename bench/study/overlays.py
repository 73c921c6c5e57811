"""Settings as overlays: preset, profile, a study's base, an arm's levels, each over the last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.files.processor import has_avx2
from bench.files.yaml import Located
from bench.study.presets import ancestry, presets, profile_settings, source_settings
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
    preset: str,
    profile: str,
    data_source: dict[str, Any] | None,
    there: Mapping[str, int] | None = None,
) -> list[Overlay]:
    """What lies below a study's own settings.

    A size that the preset or the profile names and the data does not have becomes `all`; one that
    the study names itself is an error later on. A profile's portable arithmetic is native on a
    processor that cannot do it: those are other trials, as they are other numbers.

    Args:
        preset: Name of the base.
        profile: Name of the profile.
        data_source: Settings of the data source given on the command line, None without one.
        there: Setting of a size, such as `data.train_size` -> images that the data has for it;
            None where it is not known yet, or has no official partition.
    """
    known, chain = presets(), ancestry(preset)
    scaled = profile_settings(profile)
    own = [known[name] for name in reversed(chain)]
    found = [flatten(_plain(settings)) for settings in own]
    found.append(flatten(scaled["every"]))
    for name in reversed(chain):
        settings = scaled["presets"].get(name, {})
        if "extends" in settings:
            found.append(flatten(_plain(known[settings["extends"]])))
        found.append(flatten(_plain(settings)))
    named = {path: value for settings in found for path, value in settings.items()}
    if named.get("train.arithmetic") == "portable" and not has_avx2():
        found.append({"train.arithmetic": "native"})
    # Above the profile: what the released code did is not scaled away.
    if any(settings.get("ledger") == "released" for settings in own):
        found.append(as_released())
    found.append(dict.fromkeys(too_large(named, there or {}), "all"))
    if data_source is not None:
        found.append({"data.source": data_source})
        found.append(flatten(source_settings(data_source["kind"])))
    return [Overlay(settings, None, ()) for settings in found]


def too_large(named: Mapping[str, Any], there: Mapping[str, int]) -> dict[str, int]:
    """The sizes that are named and are more than there is, each with what is named."""
    sizes = {path: named.get(path) for path in there}
    return {p: size for p, size in sizes.items() if isinstance(size, int) and size > there[p]}


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a preset sets itself."""
    return {key: value for key, value in settings.items() if key not in ("extends", "ledger")}
