"""`QuantizeOptions`: how a network is quantized. The contract, the Python API and the command line all set these.

Each option is declared once, here, with the text of its command-line flag. This module imports neither numpy nor
onnx, so that `--help` stays fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from edgepose._options import declared, option
from edgepose.errors import UsageError, nearest

# Ways to turn observed activations into a quantization range; `quantize.ranges` implements them.
METHODS = ("auto", "minmax", "image_max", "percentile", "mse", "entropy")


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """How a network is calibrated and quantized.

    Attributes:
        method: Method that turns observed activations into a quantization range, one of `METHODS`. "auto" chooses
            among the others for each tensor, by the error in the outputs of the layers that read it.
        percentile: Percentage of absolute values that the range of method "percentile" covers, above 50 up to 100;
            "auto" tries it too.
        keep_float: Names, or patterns of names, of layers that are not int8: float32 in an int8 graph, float16 in an
            int8-fp16 graph. As a flag, it names layers that stay in float32 in every precision.
        keep_float32: Names, or patterns of names, of layers that stay in float32 in every precision, fp16 included.
            It stands in the contract only.
        deconv: "int8", or "float" to keep every ConvTranspose in float. A CPU without VNNI runs int8 deconvolutions
            several times slower than float ones (22 ms against 6 ms was seen).
        deconv_weights: "per_channel" gives each output channel of a ConvTranspose a quantization scale (axis 1), and
            with groups each group one (axis 0), which is one per output channel where it is depthwise. "axis1" does so
            without groups only, and "per_tensor" gives every ConvTranspose one scale. ONNX Runtime, OpenVINO and
            TensorRT-RTX take all three; other versions of TensorRT may refuse an axis.
        stem_float: Whether the layers that read the network's input stay in float. None leaves them in float unless the
            search of a guarded build finds that int8 saves time there and keeps the accuracy.
        head_float: The same of the last layers in front of each output.
        clip_to_relu: Whether ReLU6 is written as Relu where the saturation of the quantizer does the clipping.
        channels: "tensorrt" leaves layers with few or odd channel counts in float, as TensorRT runs them faster so
            (`quantize.channels`), and "any" does not. "auto" is "tensorrt" in a build with TensorRT or TensorRT-RTX
            alone, and "any" elsewhere.
        bias_correction: Whether the biases of quantized layers are corrected, so that the mean of each output channel
            over the calibration images is that of the float network.
        equalize: Whether the ranges of the channels of a tensor are made similar where the layers around it allow it.

    Raises:
        UsageError: A value is not one of those listed.
    """

    method: str = option(
        "image_max", "--method", "Method that turns observed activations into a quantization range.", choices=METHODS
    )
    percentile: float = option(
        99.99, "--percentile", "Percentage of values inside the range of --method percentile.", metavar="PERCENT"
    )
    keep_float: tuple[str, ...] = option(
        (), "--keep-float", "Names of nodes that stay in float32 in every precision; repeatable.", metavar="PATTERN"
    )
    keep_float32: tuple[str, ...] = ()
    deconv: str = option(
        "int8", "--deconv", "Precision of deconvolutions; CPUs without VNNI run them faster in float.",
        choices=("int8", "float"),
    )  # fmt: skip
    deconv_weights: str = option(
        "per_channel", "--deconv-weights", "Quantization scales of deconvolution weights: one, or one per channel.",
        choices=("per_tensor", "axis1", "per_channel"),
    )  # fmt: skip
    stem_float: bool | None = option(
        None, "--stem-float/--stem-int8", "Precision of the first layers; by default the search of a build decides."
    )
    head_float: bool | None = option(
        None, "--head-float/--head-int8", "Precision of the last layers; by default the search of a build decides."
    )
    clip_to_relu: bool = option(True, "--clip-to-relu/--keep-clip", "Write ReLU6 as ReLU where the quantizer clips.")
    channels: str = option(
        "auto", "--channels",
        "Layers with few channels: int8 (any), or float as suits TensorRT; by default by backend.",
        choices=("auto", "any", "tensorrt"),
    )  # fmt: skip
    bias_correction: bool = option(
        True, "--bias-correction/--no-bias-correction", "Correct the mean outputs of quantized layers in their biases."
    )
    equalize: bool = option(
        True, "--equalize/--no-equalize", "Make the ranges of the channels of a tensor similar before quantization."
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for item in fields(self):
            choices, value = item.metadata.get("choices"), getattr(self, item.name)
            if value is None and item.default is None:
                continue
            kind = bool if item.default is None else type(item.default)
            fits = isinstance(value, (int, float) if kind is float else kind)
            if not fits or isinstance(value, bool) != (kind is bool):
                example = False if item.default is None else item.default
                raise UsageError(f"{item.name} = {value!r}; expected {kind.__name__}, such as {example!r}")
            if choices and value not in choices:
                raise UsageError(f"{item.name} = {value!r}{nearest(str(value), choices)}")
        if not 50 < self.percentile <= 100:
            raise UsageError(f"percentile = {self.percentile}; expected above 50 up to 100, such as 99.99")

    def changed(self, given: Mapping[str, Any]) -> QuantizeOptions:
        """Return these options with others in their place.

        Args:
            given: Option name to value. None means "not given". Patterns of `keep_float` are added to those here.

        Returns:
            The options that apply: what was given comes before what the contract says.

        Raises:
            UsageError: There is no such option, a value is wrong, or a percentile is given for another method.
        """
        refuse_unknown(given)
        said = {name: value for name, value in given.items() if value is not None}
        method = said.get("method", self.method)
        if "percentile" in said and method != "percentile":
            raise UsageError(f"--percentile is for method percentile, not {method}; give --method percentile with it")
        if isinstance(said.get("keep_float"), str):
            raise UsageError(f"keep_float = {said['keep_float']!r}; expected a tuple of patterns")
        said["keep_float"] = tuple(dict.fromkeys((*self.keep_float, *said.get("keep_float", ()))))
        return replace(self, **said)

    def to_json(self) -> dict[str, Any]:
        """Return `keep_float` and every option that differs from its default, so that old contracts keep their hash."""
        value = {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if item.name == "keep_float" or getattr(self, item.name) != item.default
        }
        lists = {name: list(value[name]) for name in ("keep_float", "keep_float32") if name in value}
        return value | lists


def refuse_unknown(given: Mapping[str, Any]) -> None:
    """Raise UsageError for a name that is no flag of `QuantizeOptions`."""
    known = tuple(declared(QuantizeOptions))
    for name in given:
        if name not in known:
            raise UsageError(f"unknown quantization option {name!r}{nearest(name, known)}")
