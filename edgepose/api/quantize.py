"""Quantize a network: rewrite its ONNX graph as INT8 with explicit Q/DQ nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgepose._files import placing, sha256_file
from edgepose._outputs import refuse_existing
from edgepose.artifacts.scales import check_fresh, read_scales
from edgepose.artifacts.spec import KEPT_FLOAT_KEY, ModelSpec, embedded_spec, get_metadata
from edgepose.errors import MissingPackage, ModelError
from edgepose.graph.lookup import load_onnx
from edgepose.measure.agreement import Agreement
from edgepose.quantize import QuantizeOptions, quantize
from edgepose.quantize.source import read_float_graph


@dataclass(frozen=True, kw_only=True)
class QuantizeResult:
    """What quantization wrote.

    Attributes:
        path: The INT8 ONNX file.
        kept_float: Names of the layers that stay in float, each with the reason.
        agreement: The agreement of each output with that of the float network, on a few crops of rendered figures;
            empty where ONNX Runtime cannot run the graphs.
    """

    path: Path
    kept_float: Mapping[str, str]
    agreement: Mapping[str, Agreement] = field(default_factory=dict)


def quantize_onnx(
    model: str | Path,
    *,
    scales: str | Path,
    out: str | Path,
    options: QuantizeOptions | None = None,
    overwrite: bool = False,
) -> QuantizeResult:
    """Write the INT8 graph of a float network.

    Args:
        model: A float ONNX file that carries its contract.
        scales: The scales.json that `calibrate` made of this file.
        out: The ONNX file to write.
        options: What is quantized and how; None takes the options in the contract.
        overwrite: Whether to replace `out`.

    Returns:
        The file, and the layers that stay in float.

    Raises:
        CalibrationError: The scales belong to another network.
        UsageError: `out` is an input, or holds something else and `overwrite` is not set.

    Examples:
        >>> result = quantize_onnx("fp32.onnx", scales="scales.json", out="int8.onnx")
        >>> result.kept_float, result.agreement["heatmaps"].snr_db
    """
    import onnx

    source = Path(model)
    if Path(out).exists():
        refuse_existing(Path(out), True, [model, scales])
    spec = embedded_spec(load_onnx(source), str(source))
    found = read_scales(Path(scales))
    check_fresh(found, sha256_file(source), spec)
    quantized = quantize(read_float_graph(source, spec), found, spec, options)
    with placing(Path(out), overwrite) as unfinished:
        onnx.save(quantized, str(unfinished))
    kept_float = json.loads(get_metadata(quantized, KEPT_FLOAT_KEY) or "{}")
    return QuantizeResult(path=Path(out), kept_float=kept_float, agreement=_agreement(source, Path(out), spec))


def _agreement(source: Path, out: Path, spec: ModelSpec) -> Mapping[str, Agreement]:
    from edgepose.api.reference import reference_of
    from edgepose.api.verify import CROPS, examine_graph

    try:
        return examine_graph(out, spec, reference_of(source, spec).first(CROPS)).outputs
    except (MissingPackage, ModelError):
        return {}
