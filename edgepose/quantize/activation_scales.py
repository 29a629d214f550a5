"""The pass that takes the quantization scale of each placed activation from scales.json."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import RECALIBRATE, Scales
from edgepose.errors import CalibrationError
from edgepose.quantize.placement import Placement
from edgepose.quantize.work import Work


class ChooseActivationScales:
    """Look up the scale of every tensor that gets a quantizer."""

    name: ClassVar[str] = "activation_scales"
    needs: ClassVar[tuple[str, ...]] = ()

    def applies(self, options: QuantizeOptions) -> bool:
        """Return True: every quantization needs it."""
        return True

    def run(self, work: Work) -> Work:
        """Set `activation_scales`, and name the tensors that were always zero.

        Raises:
            CalibrationError: A tensor was not observed.
        """
        assert work.placement is not None, "placement runs first"
        scales = activation_scales(work.placement, work.scales)
        dead = [tensor for tensor in scales if work.scales.tensors[tensor].scale <= 0]
        return replace(work, activation_scales=scales, notes=(*work.notes, *_dead_note(dead)))


def activation_scales(placement: Placement, scales: Scales) -> dict[str, float]:
    """Return the scale of each tensor of a placement; 1 for a tensor that was zero on every calibration image.

    Raises:
        CalibrationError: A tensor was not observed.
    """
    missing = [tensor for tensor in placement.reads if tensor not in scales.tensors]
    if missing:
        raise CalibrationError(f"the scales have no range for tensor {missing[0]!r}; run: {RECALIBRATE}")
    chosen = {tensor: scales.tensors[tensor].scale for tensor in placement.reads}
    return {tensor: scale if scale > 0 else 1.0 for tensor, scale in chosen.items()}


def _dead_note(dead: list[str]) -> tuple[str, ...]:
    if not dead:
        return ()
    return (
        f"{len(dead)} tensors were zero on every calibration image and get scale 1: {', '.join(map(repr, dead))}; "
        "if they should not be, calibrate on images that are more like those the network will see",
    )
