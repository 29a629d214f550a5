"""Write the trtexec command that builds the same engine, for a board without Python or for comparison.

The precision flags differ by generation: none where the graph alone sets the types (11), `--stronglyTyped` where
strong typing is optional (10), `--fp16` and `--int8` where the network is weakly typed (8.6, a DLA, a calibration
cache).
"""

from __future__ import annotations

import shlex
from pathlib import Path

from edgepose.backends.declared.tensorrt import TensorRtOptions
from edgepose.backends.tensorrt.builder import PLAN
from edgepose.backends.tensorrt.precision import Api, flags_for, is_weak

# Without TensorRT the command is for version 10, which every JetPack from 6.1 to 7.2 has.
ASSUMED = Api(
    strongly_typed=True,
    weakly_typed=True,
    explicit_batch=True,
    calibrators=True,
    progress=True,
    node_errors=True,
    capabilities=False,
)


def trtexec_line(
    onnx_path: Path,
    folder: Path,
    shapes: dict[str, list[int]],
    options: TensorRtOptions,
    api: Api = ASSUMED,
) -> str:
    """Return the command that writes folder/model.plan.

    Args:
        onnx_path: The graph.
        folder: The engine folder.
        shapes: Shape of each input, with -1 for a free batch axis.
        options: The options of the engine.
        api: Features of the TensorRT that trtexec belongs to.
    """
    words = ["trtexec", f"--onnx={onnx_path}", f"--saveEngine={folder / PLAN}", "--profilingVerbosity=detailed"]
    words += ["--noTF32", *_precision(options, api), *_shapes(shapes, options)]
    if not api.strongly_typed:
        words.append("--preview=+profileSharing0806")
    if options.workspace_mib is not None:
        words.append(f"--memPoolSize=workspace:{options.workspace_mib}M")
    if options.builder_level is not None:
        words.append(f"--builderOptimizationLevel={options.builder_level}")
    if options.dla_core is not None:
        words += [f"--useDLACore={options.dla_core}", "--allowGPUFallback"]
    if options.timing_cache is not None:
        words.append(f"--timingCacheFile={options.timing_cache / 'trtexec.timing'}")
    return shlex.join(words)


def _precision(options: TensorRtOptions, api: Api) -> list[str]:
    if is_weak(api, options):
        words = [f"--{name.lower()}" for name in flags_for(options)]
        return words if options.calibration_cache is None else [*words, f"--calib={options.calibration_cache}"]
    return ["--stronglyTyped"] if api.weakly_typed else []


def _shapes(shapes: dict[str, list[int]], options: TensorRtOptions) -> list[str]:
    free = {name: shape for name, shape in shapes.items() if shape[0] == -1}
    if not free:
        return []
    return [
        f"--{which}Shapes="
        + ",".join(f"{name}:" + "x".join(map(str, [size, *shape[1:]])) for name, shape in free.items())
        for which, size in zip(("min", "opt", "max"), options.batch, strict=True)
    ]
