"""Record what an engine of the TensorRT family depends on, and compare it before the engine is opened.

An engine of TensorRT needs the GPU, the library version and the processor architecture that it was built for. An
engine of TensorRT-RTX runs on every compute capability that it was built for, which is 8.0 and later by default.
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
    """Return the GPU of this machine, or None."""
    try:
        return find_device()
    except EngineError:
        return None


def no_device() -> str | None:
    """Return why no GPU can be used, or None when one can be."""
    try:
        find_device()
    except EngineError as error:
        return str(error)
    return None


def machine_of(device: Device | None) -> dict[str, str]:
    """Return the manifest's entry about the machine.

    Args:
        device: The GPU, or None for an engine that was built ahead of time for another machine.
    """
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
    """Return the facts about a build for the manifest.

    Args:
        plan: The engine.
        options: The options that it was built with.
        device: The GPU of this machine, or None.
        layers: Precision of each layer.
    """
    given = {
        "workspace_mib": options.workspace_mib,
        "builder_level": options.builder_level,
        "dla_core": options.dla_core,
        "calibration_cache": options.calibration_cache and options.calibration_cache.name,
        "float_parts": options.float_parts if options.precision.startswith("int8") else None,
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
    """Return the file of the timing cache for this GPU and library version.

    Args:
        folder: Folder of timing caches, or None to use none.
        library: Name and version of the library.
        device: The GPU.
    """
    if folder is None:
        return None
    name = re.sub(r"[^a-z0-9.]+", "-", f"{library} {device.name} sm{device.compute_capability} {device.board}".lower())
    return folder / f"{name.strip('-')}.timing"


def same_machine(manifest: Manifest, version: str, device: Device | None) -> list[str]:
    """Return a line for each of version, GPU, board, compute capability and processor that is not the same.

    Args:
        manifest: The manifest of the engine.
        version: Version of the installed library.
        device: The GPU of this machine, or None.
    """
    here = machine_of(device)
    found = differing("backend_version", manifest.backend_version, version)
    for field in ("gpu", "board", "compute_capability", "architecture"):
        found += differing(f"machine.{field}", manifest.machine.get(field, "none"), here.get(field, "none"))
    return found


def differing(field: str, built: str, here: str) -> list[str]:
    """Return one line if a field of the manifest differs from this machine, else none."""
    return [] if built == here else [f"{field}: built for {built}, here is {here}"]


def fits_capabilities(manifest: Manifest, version: str, device: Device | None) -> list[str]:
    """Return a line if the library's version differs, and one if the engine was not built for this GPU.

    Args:
        manifest: The manifest of the engine.
        version: Version of the installed library.
        device: The GPU of this machine, or None.
    """
    found = differing("backend_version", manifest.backend_version, version)
    wanted = manifest.build.get("capabilities", PORTABLE)
    here = "none" if device is None else device.compute_capability
    if not covers(wanted, here):
        found.append(f"build.capabilities: built for {wanted}, here is {here}")
    return found


def covers(wanted: str, here: str) -> bool:
    """Return whether an engine runs on a GPU.

    Args:
        wanted: What the engine was built for: "portable", or names such as "SM86 SM120".
        here: Compute capability of the GPU, such as "8.6", or "none".
    """
    if here == "none":
        return False
    if wanted == PORTABLE:
        return tuple(int(part) for part in here.split(".")) >= OLDEST_PORTABLE
    return "SM" + here.replace(".", "") in wanted.split()
