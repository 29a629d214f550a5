"""The float16 graphs of a build, compared with the float graph on a few crops."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgepose._checks import Array
from edgepose._progress import Note, silent
from edgepose.api.float_layers import first_names
from edgepose.api.request import BuildRequest
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import KEPT_FLOAT_KEY, ModelSpec, get_metadata
from edgepose.errors import MissingPackage, ModelError

if TYPE_CHECKING:
    import onnx

    from edgepose.quantize import CastOptions, Sample

COUNT = 4  # crops; the graphs run several times on each


@dataclass(frozen=True, kw_only=True)
class Halves:
    """What makes the float16 graphs of one build.

    Attributes:
        spec: The contract.
        options: Which nodes stay in float32 because the build asks for it.
        inputs: The crops to compare on; None where no float16 graph is asked for.
        note: Receives which nodes stay in float32, and why.
    """

    spec: ModelSpec
    options: CastOptions
    inputs: Array | None = None
    note: Note = silent

    @classmethod
    def prepared_for(
        cls, request: BuildRequest, wanted: Collection[str], model: onnx.ModelProto, spec: ModelSpec, note: Note
    ) -> Halves:
        """Check the patterns and load the crops, before the long steps of a build.

        Args:
            request: The options of the build.
            wanted: Precisions of the graphs that are made.
            model: The float graph.
            spec: The contract.
            note: Receives which nodes stay in float32, and why.

        Raises:
            UsageError: A pattern names no node.
            DataError: The calibration images cannot be read.
        """
        from edgepose.api.sample import sample_inputs
        from edgepose.quantize import CastOptions

        options = CastOptions(keep_float=tuple(request.quantize.get("keep_float") or ()))
        if not any(part.endswith(("fp16", "fp8")) for part in wanted):
            return cls(spec=spec, options=options)
        _refuse_unknown_patterns(model, spec, options)
        return cls(spec=spec, options=options, inputs=sample_inputs(spec, request.calib, COUNT), note=note)

    def fp16(self, model: onnx.ModelProto, parent_sha256: str, scales: Scales | None = None) -> onnx.ModelProto:
        """Cast the float graph."""
        from edgepose.quantize import to_fp16

        made = to_fp16(model, self.spec, parent_sha256, self.options, _ranges(scales), self._sample(model))
        self._name_kept(model, made, "fp16")
        return made

    def int8_fp16(self, model: onnx.ModelProto, parent_sha256: str, scales: Scales | None = None) -> onnx.ModelProto:
        """Cast the float parts of the int8 graph."""
        from edgepose.quantize import to_int8_fp16

        made = to_int8_fp16(model, self.spec, parent_sha256, self.options, _ranges(scales), self._sample(model))
        self._name_kept(model, made, "int8-fp16")
        return made

    def fp8(
        self, model: onnx.ModelProto, parent_sha256: str, scales: Scales, choices: QuantizeOptions
    ) -> onnx.ModelProto:
        """Quantize the float graph to FP8, with its float parts in float16."""
        from edgepose.quantize import to_fp8

        made = to_fp8(model, scales, self.spec, parent_sha256, choices, self.options, self._sample(model))
        self._name_kept(model, made, "fp8", "float")
        return made

    def _sample(self, model: onnx.ModelProto) -> Sample | None:
        """Return the crops and what runs a graph on them; None where ONNX Runtime is missing or cannot load it."""
        from edgepose.backends.onnxruntime import make_plain_runner
        from edgepose.quantize import Sample

        try:
            make_plain_runner(model, ())
        except (MissingPackage, ModelError) as error:
            self.note(f"float16 is not compared with float32 here: {error}")
            return None
        return None if self.inputs is None else Sample(inputs=self.inputs, make_runner=make_plain_runner)

    def _name_kept(self, source: onnx.ModelProto, made: onnx.ModelProto, precision: str, kind: str = "float32") -> None:
        known = _kept(source)  # what is not int8 has been said
        names: dict[str, list[str]] = {}
        for name, reason in _kept(made).items():
            if known.get(name) != reason:
                names.setdefault(reason, []).append(name)
        for reason, nodes in names.items():
            verb = "stays" if len(nodes) == 1 else "stay"
            self.note(f"{precision}: {first_names(nodes)} {verb} in {kind}: {reason}")


def _refuse_unknown_patterns(model: onnx.ModelProto, spec: ModelSpec, options: CastOptions) -> None:
    from edgepose.graph.prepare import prepare
    from edgepose.quantize.cast import patterns_of
    from edgepose.quantize.names import named_by

    patterns = patterns_of(spec, options)
    if patterns:
        with suppress(ModelError):  # said by each precision that it is true for
            names = [node.name for node in prepare(model).graph.node]
            for pattern in patterns:
                named_by(pattern, names, "keep_float")


def _kept(model: onnx.ModelProto) -> dict[str, str]:
    kept: dict[str, str] = json.loads(get_metadata(model, KEPT_FLOAT_KEY) or "{}")
    return kept


def _ranges(scales: Scales | None) -> Mapping[str, float]:
    """Return the largest absolute value that calibration saw in each tensor."""
    return {name: max(abs(item.min), abs(item.max)) for name, item in scales.tensors.items()} if scales else {}
