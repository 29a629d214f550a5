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
        """Set `activation_scales`.

        Raises:
            CalibrationError: A tensor has no usable scale.
        """
        assert work.placement is not None, "placement runs first"
        return replace(work, activation_scales=activation_scales(work.placement, work.scales))


def activation_scales(placement: Placement, scales: Scales) -> dict[str, float]:
    """Return the scale of each tensor of a placement.

    Raises:
        CalibrationError: A tensor was not observed, or was zero on every image.
    """
    missing = [tensor for tensor in placement.reads if tensor not in scales.tensors]
    if missing:
        raise CalibrationError(f"the scales have no range for tensor {missing[0]!r}; run: {RECALIBRATE}")
    chosen = {tensor: scales.tensors[tensor].scale for tensor in placement.reads}
    for tensor, scale in chosen.items():
        if scale <= 0:
            readers = [name for name, _ in placement.reads[tensor]]
            raise CalibrationError(
                f"tensor {tensor!r} was zero on every calibration image, so it has no scale; keep "
                f"its readers in float with quantize.keep_float: {readers}"
            )
    return chosen
