"""The options of a build. The command line makes its flags of the fields' metadata (`edgepose.cli.flags`)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edgepose._options import option
from edgepose.errors import UsageError, nearest

PRECISIONS = ("fp32", "fp16", "int8", "int8-fp16")
METHODS = ("minmax", "percentile", "mse")  # those of the contract, without the numpy that its module imports


def _words(option: str, choices: Callable[[], Sequence[str]]) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of a comma-separated list of `choices`."""

    def parse(text: str) -> tuple[str, ...]:
        known = choices()
        parts = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
        for part in parts:
            if part not in known:
                raise UsageError(f"{option}: unknown {part!r}{nearest(part, known)}")
        if not parts:
            raise UsageError(f"{option} is empty; choose from {', '.join(known)}")
        return parts

    return parse


def _backends() -> tuple[str, ...]:
    from edgepose.backends import BACKENDS

    return ("auto", *BACKENDS)


def _batch(text: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts):
        raise UsageError(f"--batch {text}: expected MIN,OPT,MAX, such as 1,4,8")
    return int(parts[0]), int(parts[1]), int(parts[2])


def _capabilities(text: str) -> tuple[str, ...]:
    return tuple(part.strip().upper() for part in text.split(",") if part.strip())


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How to build engines.

    The options from `batch` on apply only to TensorRT and TensorRT-RTX; building with one of them for another
    backend raises UsageError.

    Attributes:
        precisions: Any of fp32, fp16, int8 and int8-fp16, one engine for each.
        backends: Names of backends; "auto" is the fastest that can be used on this machine.
        spec: A spec.toml, the contract of an ONNX file that was trained elsewhere.
        scales: A scales.json. Without it and without `calib`, the scales that ship with a zoo model or those in
            the output folder are used.
        calib: Calibration images as KIND:PATH[:SPLIT].
        calib_limit: Largest number of people to calibrate on.
        method: How observed activations become quantization ranges; by default the contract's method.
        deconv: "int8" or "float", the arithmetic of deconvolutions.
        keep_float: Patterns of node names that stay in float.
        batch: Smallest, usual and largest number of people per call.
        workspace_mib: Scratch memory of one layer in MiB.
        builder_level: 0 (fast build) to 5 (fast engine).
        dla_core: Deep Learning Accelerator to build for.
        timing_cache: Folder of kernel timings that later builds reuse.
        calibration_cache: Whether to build INT8 from a calibration cache instead of Q/DQ nodes.
        capabilities: GPU generations such as SM86; without any, the engine is portable.
    """

    precisions: tuple[str, ...] = option(
        ("fp32", "int8"), "--precision", "Comma-separated: fp32, fp16, int8, int8-fp16 (INT8 with FP16 float parts).",
        metavar="LIST", parse=_words("--precision", lambda: PRECISIONS),
    )  # fmt: skip
    backends: tuple[str, ...] = option(
        ("auto",), "--backend", "Comma-separated: auto, tensorrt, tensorrt_rtx, openvino, onnxruntime.",
        metavar="LIST", parse=_words("--backend", _backends),
    )  # fmt: skip
    spec: Path | None = option(None, "--spec", "The spec.toml of a network that was trained elsewhere.", exists=True)
    scales: Path | None = option(None, "--scales", "A scales.json of `edgepose calibrate`.", exists=True)
    calib: str | None = option(
        None, "--calib", "Images to calibrate on, with at least 32 people.", metavar="KIND:PATH[:SPLIT]"
    )
    calib_limit: int = option(512, "--calib-limit", "Largest number of people to calibrate on.", min=32)
    method: str | None = option(
        None, "--method", "How observed activations become quantization ranges; by default the contract's method.",
        choices=METHODS,
    )  # fmt: skip
    deconv: str = option(
        "int8", "--deconv", "Arithmetic of deconvolutions; CPUs without VNNI run them faster in float.",
        choices=("int8", "float"),
    )  # fmt: skip
    keep_float: tuple[str, ...] = option(
        (), "--keep-float", "Names of nodes that stay in float; repeatable.", metavar="PATTERN"
    )
    batch: tuple[int, int, int] | None = option(
        None, "--batch", "TensorRT: people per call; by default 1,1,8.", metavar="MIN,OPT,MAX", parse=_batch
    )
    workspace_mib: int | None = option(
        None, "--workspace", "TensorRT: scratch memory of one layer; by default all memory.", metavar="MIB", min=1
    )
    builder_level: int | None = option(
        None, "--builder-level", "TensorRT: 0 builds fast, 5 makes the fastest engine.", min=0, max=5
    )
    dla_core: int | None = option(None, "--dla-core", "TensorRT: build for this DLA core of a Jetson Orin.", min=0)
    timing_cache: Path | None = option(
        None, "--timing-cache", "TensorRT: folder of kernel timings that later builds reuse; by default OUT/timing.",
        metavar="FOLDER",
    )  # fmt: skip
    calibration_cache: bool = option(
        False, "--calibration-cache",
        "TensorRT 8.6 and 10: take INT8 ranges from OUT/calibration.cache, not from Q/DQ nodes; a DLA needs this.",
    )  # fmt: skip
    capabilities: tuple[str, ...] = option(
        (), "--capability", "TensorRT-RTX: comma-separated, such as SM86,SM120; by default the engine is portable.",
        metavar="LIST", parse=_capabilities,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BuildRequest(BuildOptions):
    """The options of one build with its model and its output folder.

    Attributes:
        model: A checkpoint (.pt), an ONNX file or a zoo name.
        out: Folder of graphs, scales and engines.
        overwrite: Whether to replace files that exist.
        command: The command line that repeats the build; the manifest of each engine records it.
    """

    model: str
    out: Path
    overwrite: bool = False
    command: str = ""


def build_request(model: str | Path, out: str | Path, options: BuildOptions, **given: Any) -> BuildRequest:
    """Combine a model, an output folder and options; without a `command`, write the command line of the options."""
    chosen = {item.name: getattr(options, item.name) for item in fields(BuildOptions)}
    given["command"] = given.get("command") or _command(model, out, options)
    return BuildRequest(model=str(model), out=Path(out), **chosen, **given)


def _command(model: str | Path, out: str | Path, options: BuildOptions) -> str:
    parts = ["edgepose", "build", str(model), "--out", str(out)]
    for item in fields(options):
        value, flag = getattr(options, item.name), item.metadata["flag"]
        if value == item.default:
            continue
        if value is True:
            parts.append(flag)
        elif "parse" in item.metadata:
            parts += [flag, ",".join(map(str, value))]
        else:
            parts += [word for one in (value if isinstance(value, tuple) else (value,)) for word in (flag, str(one))]
    return shlex.join(parts)
