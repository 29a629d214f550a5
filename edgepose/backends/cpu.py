"""Identify the CPU and the instruction sets that decide how fast each precision runs."""

from __future__ import annotations

import platform
from pathlib import Path

from edgepose.artifacts.manifest import Manifest

CPUINFO = Path("/proc/cpuinfo")

# name of Linux -> name in manifests and reports; these are the sets that change which kernels a library picks
FLAGS: dict[str, str] = {
    "avx2": "avx2",
    "avx_vnni": "avx_vnni",
    "avx512f": "avx512",
    "avx512_vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16",
    "amx_int8": "amx_int8",
    "amx_bf16": "amx_bf16",
    "asimd": "neon",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
}

X86 = ("x86_64", "AMD64", "i386", "i686", "x86")
EXACT = {"avx_vnni", "avx512_vnni", "amx_int8"}  # these accumulate four products in 32 bits


def cpu_name(cpuinfo: Path = CPUINFO) -> str:
    """Return the CPU's model name, or its architecture where the system does not report it (most ARM boards)."""
    name = _field(cpuinfo, "model name")
    return " ".join(name.split()) or platform.processor() or platform.machine()


def cpu_flags(cpuinfo: Path = CPUINFO) -> tuple[str, ...]:
    """Return the instruction sets of `FLAGS` that the CPU has; empty where the system does not report them."""
    present = set((_field(cpuinfo, "flags") or _field(cpuinfo, "Features")).split())
    return tuple(ours for theirs, ours in FLAGS.items() if theirs in present)


def is_x86() -> bool:
    """Return whether this machine has an x86 CPU."""
    return platform.machine() in X86


def int8_saturates(cpuinfo: Path = CPUINFO) -> bool:
    """Return whether INT8 engines must compute in float here; False only where INT8 sums are known to be exact."""
    return int8_reason(cpuinfo) is not None


def int8_reason(cpuinfo: Path = CPUINFO) -> str | None:
    """Return why INT8 kernels may saturate on this CPU, as part of a sentence, or None where they are exact.

    x86 CPUs without VNNI or AMX multiply int8 values with `vpmaddubsw`, which adds two products in 16 bits and
    saturates. The results then differ from those that the graph defines, and it is no faster than float.
    """
    if not is_x86():
        return None
    flags = cpu_flags(cpuinfo)
    if not flags and not _field(cpuinfo, "flags"):
        return "cannot tell whether this CPU has VNNI or AMX"
    return "no VNNI, no AMX" if EXACT.isdisjoint(flags) else None


def cpu_machine() -> dict[str, str]:
    """Return the manifest's entry about the machine for an engine that runs on the CPU."""
    return {"cpu": cpu_name(), "architecture": platform.machine()}


def later_release(manifest: Manifest, installed: str) -> list[str]:
    """Return a line if an engine was built by a later release of the library than the one that is installed.

    This is `differs` of the CPU backends, whose payloads are portable files that later releases can read.

    Args:
        manifest: The manifest of the engine.
        installed: Version of the installed library.
    """
    if _release(manifest.backend_version) <= _release(installed):
        return []  # an older release may lack an operator
    return [
        f"backend_version: built by {manifest.backend} {manifest.backend_version}, installed is {installed} "
        f"(upgrade {manifest.backend})"
    ]


def _release(version: str) -> tuple[int, ...]:
    """Return (major, minor) of a version."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _field(cpuinfo: Path, key: str) -> str:
    """Return the first value of `key`; empty where the key or the file is missing, as on other systems than Linux."""
    if not cpuinfo.is_file():
        return ""
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
