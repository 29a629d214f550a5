"""What an engine of the TensorRT family depends on: written into its manifest, compared before it is opened.

A plan runs on the GPU, the library version and the processor family it was built for. One of TensorRT-RTX runs
on every compute capability it was built for, by default 8.0 and later, Turing (7.5) left out.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

from edgepose.artifacts.manifest import Manifest
from edgepose.backends.cuda.device import Device, find_device
from edgepose.backends.declared.tensorrt import FamilyOptions
from edgepose.backends.session import Built
from edgepose.backends.tensorrt.builder import Plan
from edgepose.errors import EngineError

PORTABLE = "portable"
OLDEST_PORTABLE = (8, 0)


def device_here() -> Device | None:
    """The GPU, or None."""
    try:
        return find_device()
    except EngineError:
        return None


def no_device() -> str | None:
    """Why there is no GPU, or None when there is one."""
    try:
        find_device()
    except EngineError as error:
        return str(error)
    return None


def machine_of(device: Device | None) -> dict[str, str]:
    """The manifest's `machine`. Without a device the engine was built ahead of time, for another machine."""
    here = {"architecture": platform.machine()}
    if device is None:
        unknown = dict.fromkeys(("compute_capability", "driver", "cuda"), "none")
        return {"gpu": "none: built ahead of time", **unknown, **here}
    return {
        "gpu": device.name,
        **({"board": device.board} if device.board else {}),
        "compute_capability": device.compute_capability,
        "driver": device.driver,
        "cuda": device.cuda,
        **here,
    }


def built_from(plan: Plan, options: FamilyOptions, device: Device | None, layers: dict[str, str]) -> Built:
    """What goes into the manifest."""
    given = {
        "workspace_mib": options.workspace_mib,
        "builder_level": options.builder_level,
        "dla_core": options.dla_core,
        "calibration_cache": options.calibration_cache and options.calibration_cache.name,
    }
    facts = {"typing": plan.typing, "timing_cache": plan.timing_cache}
    return Built(
        machine=machine_of(device),
        inputs=plan.inputs,
        outputs=plan.outputs,
        shapes=plan.shapes,
        build=facts | {name: str(value) for name, value in given.items() if value is not None},
        layers=layers,
        notes=plan.notes,
    )


def timing_file(folder: Path | None, library: str, device: Device) -> Path | None:
    """The timing cache of this GPU and library version in a folder of such; timings fit no other."""
    if folder is None:
        return None
    name = re.sub(r"[^a-z0-9.]+", "-", f"{library} {device.name} sm{device.compute_capability} {device.board}".lower())
    return folder / f"{name.strip('-')}.timing"


def same_machine(manifest: Manifest, version: str, device: Device | None) -> list[str]:
    """`differs` of TensorRT: version, GPU, board, compute capability and processor must be the same."""
    here = machine_of(device)
    found = differing("backend_version", manifest.backend_version, version)
    for field in ("gpu", "board", "compute_capability", "architecture"):
        found += differing(f"machine.{field}", manifest.machine.get(field, "none"), here.get(field, "none"))
    return found


def differing(field: str, built: str, here: str) -> list[str]:
    """A line where a field of the manifest is not what is here."""
    return [] if built == here else [f"{field}: built for {built}, here is {here}"]


def fits_capabilities(manifest: Manifest, version: str, device: Device | None) -> list[str]:
    """`differs` of TensorRT-RTX: the version must be the same, the GPU one of those the engine is for."""
    found = differing("backend_version", manifest.backend_version, version)
    wanted = manifest.build.get("capabilities", PORTABLE)
    here = "none" if device is None else device.compute_capability
    if not covers(wanted, here):
        found.append(f"build.capabilities: built for {wanted}, here is {here}")
    return found


def covers(wanted: str, here: str) -> bool:
    """Whether an engine for `wanted` ("portable" or "SM86 SM120") runs on compute capability `here` ("8.6")."""
    if here == "none":
        return False
    if wanted == PORTABLE:
        return tuple(int(part) for part in here.split(".")) >= OLDEST_PORTABLE
    return "SM" + here.replace(".", "") in wanted.split()
