"""Which CPU this is, which of its instruction sets decide how fast each precision runs, and whose engines fit it."""

from __future__ import annotations

import platform
from pathlib import Path

from edgepose.artifacts.manifest import Manifest

CPUINFO = Path("/proc/cpuinfo")

# flag as Linux spells it -> our name; the ones that change the kernel an inference library picks
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
EXACT = {"avx_vnni", "avx512_vnni", "amx_int8"}  # add four products into 32 bits


def cpu_name(cpuinfo: Path = CPUINFO) -> str:
    """The CPU's model name, or its architecture where the system does not tell (most ARM boards)."""
    name = _field(cpuinfo, "model name")
    return " ".join(name.split()) or platform.processor() or platform.machine()


def cpu_flags(cpuinfo: Path = CPUINFO) -> tuple[str, ...]:
    """Our names of the instruction sets present, empty where the system does not tell."""
    present = set((_field(cpuinfo, "flags") or _field(cpuinfo, "Features")).split())
    return tuple(ours for theirs, ours in FLAGS.items() if theirs in present)


def int8_saturates(cpuinfo: Path = CPUINFO) -> bool:
    """Whether an INT8 engine must compute in float here: False only where its sums are known to be exact."""
    return int8_reason(cpuinfo) is not None


def int8_reason(cpuinfo: Path = CPUINFO) -> str | None:
    """Why INT8 kernels may lose large sums on this CPU, as part of a sentence; None where they are exact.

    x86 without VNNI or AMX multiplies int8 by `vpmaddubsw`, which adds two products into 16 bits and cuts
    off what does not fit: results differ from what the graph says. It is no faster than float either.
    """
    if platform.machine() not in X86:
        return None
    flags = cpu_flags(cpuinfo)
    if not flags and not _field(cpuinfo, "flags"):
        return "cannot tell whether this CPU has VNNI or AMX"
    return "no VNNI, no AMX" if EXACT.isdisjoint(flags) else None


def cpu_machine() -> dict[str, str]:
    """What a manifest says of the machine an engine for the CPU was built on."""
    return {"cpu": cpu_name(), "architecture": platform.machine()}


def later_release(manifest: Manifest, installed: str) -> list[str]:
    """`differs` of both CPU backends: their payloads are portable files that later libraries read."""
    if _release(manifest.backend_version) <= _release(installed):
        return []  # an older library may lack an operator, a newer one does not
    return [
        f"backend_version: built by {manifest.backend} {manifest.backend_version}, installed is {installed} "
        f"(upgrade {manifest.backend})"
    ]


def _release(version: str) -> tuple[int, ...]:
    """(major, minor) of a version."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _field(cpuinfo: Path, key: str) -> str:
    """The first value of `key`; empty where the file (other systems) or the key is missing."""
    if not cpuinfo.is_file():
        return ""
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
