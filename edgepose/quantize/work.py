"""What quantization passes hand on to each other, and the interface of a pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from edgepose._checks import Array
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import ModelSpec

if TYPE_CHECKING:
    import onnx

    from edgepose.quantize.placement import Placement


class Runner(Protocol):
    """Runs a network on a batch of images.

    Attributes:
        input_shape: Shape of the network's first input; a free axis is no integer.
    """

    input_shape: tuple[int | str | None, ...]

    def run(self, images: Array | Mapping[str, Array]) -> dict[str, Array]:
        """Return the watched tensors by name, the inputs excluded.

        Args:
            images: The network's one input [B, ...], or the arrays of all inputs by name.
        """
        ...


MakeRunner = Callable[[Any, tuple[str, ...]], Runner]  # (onnx.ModelProto, tensors to watch) -> Runner


@dataclass(frozen=True, kw_only=True)
class Work:
    """The state of a quantization. A pass takes one and returns another (`dataclasses.replace`).

    Attributes:
        model: The graph: prepared and in float at first, with Q/DQ nodes after `insert_qdq`. A pass that changes it
            works on a copy.
        spec: The network's contract.
        options: The options that apply.
        scales: What calibration found: for each tensor its scale and the statistics that passes asked for.
        placement: Which nodes are quantized, once that is decided.
        activation_scales: Tensor name to the scale of its quantizer, once chosen.
        make_runner: Makes what runs a graph on images, for passes that compare the quantized with the float network;
            None where the caller offers none.
        notes: Warnings for the user, one line each.
    """

    model: onnx.ModelProto
    spec: ModelSpec
    options: QuantizeOptions
    scales: Scales
    placement: Placement | None = None
    activation_scales: dict[str, float] = field(default_factory=dict)
    make_runner: MakeRunner | None = None
    notes: tuple[str, ...] = ()


class Pass(Protocol):
    """One step of quantization.

    Attributes:
        name: Unique name, in messages and tests.
        needs: Names of the statistics (`statistics.STATISTICS`) that the observation run must collect for it. They
            stand in `work.scales.tensors[NAME].statistics`.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]

    def applies(self, options: QuantizeOptions) -> bool:
        """Return whether the options ask for this pass."""
        ...

    def run(self, work: Work) -> Work:
        """Return the work after this pass; the one given stays as it is."""
        ...
