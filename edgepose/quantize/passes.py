"""The list of quantization passes, in the order in which they run.

To add a pass, write a class with the attributes and methods of `work.Pass` in a file of its own, and add an instance
to `PASSES` in its place. The statistics that it declares in `needs` are then collected by the one observation run
(`observe.calibrate`) and kept in scales.json.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.quantize.activation_scales import ChooseActivationScales
from edgepose.quantize.bias import CorrectBias
from edgepose.quantize.equalize import Equalize
from edgepose.quantize.placement import PlaceNodes
from edgepose.quantize.qdq import InsertQdq
from edgepose.quantize.range_warnings import WarnOfRanges
from edgepose.quantize.relu6 import ClipToRelu
from edgepose.quantize.shared_scales import ShareScales
from edgepose.quantize.work import Pass, Work

PASSES: list[Pass] = [
    PlaceNodes(), ChooseActivationScales(), ShareScales(), WarnOfRanges(), Equalize(), CorrectBias(), InsertQdq(),
    ClipToRelu(),
]  # fmt: skip


def statistics_needed(options: QuantizeOptions, passes: Sequence[Pass] | None = None) -> tuple[str, ...]:
    """Return the names of the statistics that the passes need which these options ask for."""
    chosen = [item for item in (PASSES if passes is None else passes) if item.applies(options)]
    return tuple(dict.fromkeys(name for item in chosen for name in item.needs))


def float_passes() -> list[Pass]:
    """Return the passes that decide what is quantized and how, and leave the graph in float."""
    names = [item.name for item in PASSES]
    return PASSES[: names.index(InsertQdq.name)]


def run_passes(work: Work, passes: Sequence[Pass] | None = None) -> Work:
    """Run every pass that the options ask for, in order."""
    for item in PASSES if passes is None else passes:
        if item.applies(work.options):
            work = item.run(work)
    return work
