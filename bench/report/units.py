"""Durations, sizes and counts of operations as a person reads them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds as `45 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def operations(count: float) -> str:
    """Floating-point operations as `3.5 TFLOP`."""
    for power, prefix in ((15, "P"), (12, "T"), (9, "G")):
        if count >= 10**power:
            return f"{count / 10**power:,.1f} {prefix}FLOP"
    return f"{count / 1e6:,.1f} MFLOP"


def disk_size(count: float) -> str:
    """Bytes as `1.2 GB` or `340.0 MB`."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
