"""The graph that an engine of the TensorRT family is compiled from, and the flags of weakly typed networks.

The layers of an INT8 engine that stay in float compute in float16, because float32 there makes INT8 slower than FP16
on recent GPUs. A strongly typed engine is therefore compiled from the int8-fp16 graph, and a weakly typed one from the
int8 graph with the flag FP16 in addition. With `--float-parts fp32` these layers compute in float32:

    precision   float_parts   strongly typed graph   weakly typed: graph and flags
    int8        fp16          int8-fp16              int8, INT8 and FP16
    int8        fp32          int8                   int8, INT8
    int8-fp16   fp16          int8-fp16              int8, INT8 and FP16

Ranges from a calibration cache belong to the float graph, which such an engine is compiled from with the same flags.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from edgepose.backends.declared.tensorrt import FamilyOptions

FLAGS = {"fp32": (), "fp16": ("FP16",), "int8": ("INT8",), "int8-fp16": ("INT8", "FP16")}


@dataclass(frozen=True, kw_only=True)
class Api:
    """Features of a library of the family.

    Attributes:
        strongly_typed: Networks can be strongly typed.
        weakly_typed: Builder flags can allow FP16 and INT8.
        explicit_batch: Networks need the EXPLICIT_BATCH flag.
        calibrators: INT8 ranges can come from a calibration cache.
        progress: Builds report their progress.
        node_errors: Parser errors name the node and its operator.
        capabilities: Engines can be built for other GPUs than the one of this machine.
    """

    strongly_typed: bool
    weakly_typed: bool
    explicit_batch: bool
    calibrators: bool
    progress: bool
    node_errors: bool
    capabilities: bool


def api_of(trt: ModuleType) -> Api:
    """Return the features of an imported library."""
    flags = trt.NetworkDefinitionCreationFlag
    return Api(
        strongly_typed=hasattr(flags, "STRONGLY_TYPED"),
        weakly_typed=hasattr(trt.BuilderFlag, "FP16"),
        explicit_batch=hasattr(flags, "EXPLICIT_BATCH"),
        calibrators=hasattr(trt, "IInt8EntropyCalibrator2") and hasattr(trt.IBuilderConfig, "int8_calibrator"),
        progress=hasattr(trt, "IProgressMonitor"),
        node_errors=hasattr(trt.ParserError, "node_name"),
        capabilities=hasattr(trt, "ComputeCapability"),
    )


def graph_for(api: Api, options: FamilyOptions) -> str:
    """Return the precision of the graph to compile; see the table above.

    Weakly typed parsers do not accept the float16 scales of the int8-fp16 graph.
    """
    if options.calibration_cache is not None:
        return "fp32"
    kind = _kind(options)
    return "int8" if is_weak(api, options) and kind == "int8-fp16" else kind


def is_weak(api: Api, options: FamilyOptions) -> bool:
    """Return whether the network must be weakly typed, for the library or because an option exists only there."""
    special = options.dla_core is not None or options.calibration_cache is not None
    return not api.strongly_typed or (special and api.weakly_typed)


def flags_for(options: FamilyOptions) -> tuple[str, ...]:
    """Return the members of BuilderFlag that a weakly typed builder gets."""
    return FLAGS[_kind(options)]


def _kind(options: FamilyOptions) -> str:
    """Return the precision with the type of the float parts: "int8" is INT8 with float32."""
    return "int8-fp16" if options.precision == "int8" and options.float_parts == "fp16" else options.precision
