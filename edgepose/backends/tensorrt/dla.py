"""Rules of the Deep Learning Accelerator (DLA) of Jetson Orin, checked before a long build begins.

A DLA computes in FP16 and INT8 with one fixed shape. It supports convolutional layers only, and the other layers
run on the GPU. AGX Orin has two cores and Orin NX one or two; Orin Nano and Thor have none. With a library that
has calibrators, a DLA takes INT8 ranges from a calibration cache, because it does not read Q/DQ nodes.

Run only the tests of this file with `pytest tests/backends/test_trt_dla.py`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

from edgepose.backends.declared.tensorrt import FamilyOptions
from edgepose.errors import BuildError

BOARD = Path("/proc/device-tree/model")  # "NVIDIA Jetson Orin Nano Developer Kit"


def refuse_dla(
    trt: ModuleType,
    cores: int,
    core: int,
    options: FamilyOptions,
    board: Path = BOARD,
) -> None:
    """Refuse options that break a rule of the DLA.

    Args:
        trt: The imported library.
        cores: Number of DLA cores of this machine.
        core: The core to build for.
        options: The options of the engine.
        board: File with the name of the board.

    Raises:
        BuildError: A rule is broken; the message names the first one.
    """
    if cores == 0:
        raise BuildError(
            f"{_board_name(board)} has no DLA (AGX Orin and Orin NX have, Orin Nano and Thor do not); "
            "build without --dla-core"
        )
    if not 0 <= core < cores:
        raise BuildError(f"--dla-core {core}: {_board_name(board)} has {cores}; choose 0 to {cores - 1}")
    if len(set(options.batch)) != 1:
        given = ",".join(map(str, options.batch))
        raise BuildError(f"a DLA takes one fixed shape, and --batch {given} is a range; try --batch 1,1,1")
    if options.precision == "fp32":
        raise BuildError("a DLA computes in FP16 and INT8, not in FP32; leave fp32 out of --precision")
    if options.float_parts == "fp32":
        raise BuildError("a DLA computes in FP16 and INT8, not in FP32; leave out --float-parts fp32")
    needs_cache = hasattr(trt.IBuilderConfig, "int8_calibrator") and options.precision.startswith("int8")
    if needs_cache and options.calibration_cache is None:
        raise BuildError("INT8 on this DLA needs ranges as a calibration cache, not Q/DQ; add --calibration-cache")


def _board_name(board: Path) -> str:
    """Return the name of the board."""
    return board.read_text(encoding="utf-8", errors="replace").strip("\0 \n") if board.is_file() else "this machine"


def send_to_dla(trt: ModuleType, config: Any, network: Any, core: int) -> tuple[str, ...]:
    """Assign every layer that the DLA supports to it, and the others to the GPU.

    Args:
        trt: The imported library.
        config: The builder configuration.
        network: The network.
        core: The core of the DLA.

    Returns:
        A note that says which layers run on the GPU.

    Raises:
        BuildError: The DLA supports none of the layers.
    """
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    left = Counter(layer.type.name.lower() for layer in layers if not config.can_run_on_DLA(layer))
    count = sum(left.values())
    if count == len(layers):
        raise BuildError("the DLA takes no layer of this network; build without --dla-core")
    if not left:
        return (f"all {len(layers)} layers run on DLA core {core}",)
    kinds = ", ".join(f"{number} {kind}" for kind, number in left.most_common())
    return (f"{count} of {len(layers)} layers run on the GPU, the DLA does not take them: {kinds}",)
