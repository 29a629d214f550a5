"""Export a checkpoint to ONNX with its contract inside, verified against the checkpoint."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose._files import sha256_file
from edgepose._optional import optional
from edgepose._outputs import refuse_existing
from edgepose.artifacts.spec import ModelSpec
from edgepose.codecs.springs import PictorialSpec
from edgepose.errors import UsageError

if TYPE_CHECKING:
    from edgepose.export.verify import Parity

CROPS = 16  # crops that the export is verified on


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """What an export wrote.

    Attributes:
        path: The ONNX file.
        parity: How far the ONNX is from the checkpoint, measured on crops.
    """

    path: Path
    parity: Parity

    def describe(self, path: Path | None = None) -> str:
        """Return one line about the verification; `path` replaces the name of the file."""
        return (
            f"{path or self.path}: max abs error against torch {self.parity.max_abs_error:.2e} on {self.parity.n} "
            f"crops, largest output {self.parity.scale:.2f}"
        )


def export_onnx(
    checkpoint: str | Path,
    *,
    out: str | Path,
    data: str | None = None,
    pictorial: str | None = None,
    spring_weight: float | None = None,
    overwrite: bool = False,
) -> ExportResult:
    """Write a checkpoint as ONNX and compare it with torch on crops; no file is left when they differ.

    Args:
        checkpoint: A .pt file of `train`.
        out: The ONNX file to write.
        data: Images KIND:PATH[:SPLIT] to verify on; by default rendered figures.
        pictorial: Labels KIND:PATH[:SPLIT] to learn a pictorial structure from; it becomes part of the decoder.
        spring_weight: Weight of the pictorial structure's springs against the heatmaps; 0.1 by default.
        overwrite: Whether to replace `out`.

    Returns:
        The file and how far it is from the checkpoint.

    Raises:
        UsageError: `out` exists, or an option has no effect on this network.
        ParityError: The ONNX computes something else than the checkpoint.
        MissingPackage: torch or onnxsim is not installed.

    Examples:
        >>> export_onnx("runs/lite/best.pt", out="model.onnx", data="lsp:LSP:val").parity.max_abs_error
    """
    optional("torch")
    import numpy as np

    from edgepose.datasets.feeds import CalibrationFeed
    from edgepose.datasets.open import open_data
    from edgepose.export.onnx import export
    from edgepose.training.checkpoint import load_model

    source, target = Path(checkpoint), Path(out)
    refuse_existing(target, overwrite, [checkpoint, data, pictorial])
    if pictorial is None and spring_weight is not None:
        raise UsageError("--spring-weight applies to springs; ask for them with --pictorial")
    model, spec = load_model(source)
    if pictorial is not None:
        spec = _with_springs(spec, pictorial, PictorialSpec.weight if spring_weight is None else spring_weight)
    feed = CalibrationFeed(open_data(data or f"synthetic:{CROPS}"), spec, limit=CROPS)
    crops = np.concatenate([batch for batch, _ in itertools.islice(feed, CROPS)])
    parity = export(model, spec, target, crops, parent_sha256=sha256_file(source), overwrite=overwrite)
    return ExportResult(path=target, parity=parity)


def _with_springs(spec: ModelSpec, data: str, weight: float) -> ModelSpec:
    from edgepose.codecs.heatmap import HeatmapCodec
    from edgepose.datasets.open import open_data
    from edgepose.datasets.springs import learn_springs

    if not isinstance(spec.codec, HeatmapCodec):
        raise UsageError(f"--pictorial needs a heatmap network; {spec.name} has codec {spec.codec.name!r}")
    tree = learn_springs(open_data(data), spec, weight)
    return replace(spec, codec=replace(spec.codec, pictorial=tree))
