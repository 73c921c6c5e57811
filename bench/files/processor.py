"""The processor and its widest instructions, by which libraries choose how they round sums."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

WIDEST = ("amx_bf16", "avx512_bf16", "avx512_vnni", "avx512f", "avx_vnni", "avx2", "avx", "sse4_1")
"""Instruction sets that libraries choose their kernels by, the widest first."""


@cache
def processor() -> str:
    """Its model, as it names itself; the system's word where that is not to be had."""
    named = _cpuinfo("model name") or platform.processor() or "unknown"
    return f"{named} ({platform.machine()})"


@cache
def instruction_sets() -> tuple[str, ...]:
    """Those of `WIDEST` that it has; none where the system does not say."""
    flags = set(_cpuinfo("flags").split())
    return tuple(name for name in WIDEST if name in flags)


@cache
def has_avx2() -> bool:
    """Whether it has AVX2 and fused products and sums, which portable arithmetic is made of."""
    return {"avx2", "fma"} <= set(_cpuinfo("flags").split())


@cache
def _cpuinfo(key: str) -> str:
    """The first line of a name in Linux's description of the processor; empty without one."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == key), "")
