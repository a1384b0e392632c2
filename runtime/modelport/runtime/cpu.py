"""Which kind of CPU this is, as far as it can change the bits of a result."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path
from typing import Final

# The instruction sets for which ONNX Runtime's kernels (MLAS) and the BLAS libraries choose other code.
_X86: Final = (
    "sse4_1",
    "avx",
    "fma",
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
)
_ARM: Final = ("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme")
_CPUINFO: Final = Path("/proc/cpuinfo")


@cache
def fingerprint() -> str:
    """Return the kind of CPU: the machine type and its instruction sets, such as `x86_64:avx,fma,avx2`.

    Two CPUs with one fingerprint run the same kernels. It names no host and no model.
    """
    machine = platform.machine() or "unknown"
    try:
        text = _CPUINFO.read_text(encoding="ascii", errors="replace")
    except OSError:
        return machine
    flags: set[str] = set()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            flags = set(value.split())
            break
    return f"{machine}:{','.join(name for name in _X86 + _ARM if name in flags)}"
