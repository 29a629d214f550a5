"""The float graph of a build, with its contract inside: of a checkpoint, an ONNX file or a zoo name."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose._files import placing
from edgepose._progress import Note, silent
from edgepose.api.grids import with_measured_grid
from edgepose.api.request import BuildRequest
from edgepose.artifacts.spec import PRECISION_KEY, SPEC_KEY, get_metadata, read_toml
from edgepose.errors import ModelError, UsageError, nearest
from edgepose.recognize.kept import recognition_from

if TYPE_CHECKING:
    import onnx

CHECKPOINTS = (".pt", ".pth")


def write_fp32(request: BuildRequest, note: Note = silent) -> Path:
    """Write OUT/fp32.onnx with its contract inside, from a checkpoint, an ONNX file or a zoo name."""
    from edgepose.zoo import ZOO, zoo_model

    target = request.out / "fp32.onnx"
    source = Path(request.model)
    if request.model in ZOO:
        return _copy(zoo_model(request.model), target, request.overwrite)
    if source.suffix in CHECKPOINTS:
        from edgepose.api.export import export_onnx

        with placing(target, request.overwrite) as temporary:
            note(export_onnx(source, out=temporary, data=request.calib, overwrite=True).describe(target))
        return target
    if source.suffix == ".onnx":
        return _from_onnx(source, target, request, note)
    raise UsageError(
        f"MODEL {request.model!r} is no checkpoint (.pt), no ONNX file and no zoo name{nearest(request.model, ZOO)}"
    )


def _copy(source: Path, target: Path, overwrite: bool) -> Path:
    """Copy byte for byte: scales.json is keyed by the file's sha256."""
    if source.resolve() != target.resolve():
        with placing(target, overwrite) as temporary:
            shutil.copyfile(source, temporary)
    return target


def _from_onnx(source: Path, target: Path, request: BuildRequest, note: Note) -> Path:
    """Copy a network that carries its contract; import one that was trained elsewhere."""
    from edgepose.api.verify import verify_import
    from edgepose.export.foreign import import_network
    from edgepose.graph.external import data_files

    table = read_toml(request.spec, "spec") if request.spec else None
    lines: list[str] = []
    imported = import_network(source, table, lines.append, size=request.shape, classes=request.det_classes)
    made = with_measured_grid(imported, request.calib, note)
    model, spec = made.model, made.spec
    held = get_metadata(model, PRECISION_KEY)
    if held not in (None, "fp32"):
        raise ModelError(f"{source} is an {held} graph already; build from the float ONNX it was made from")
    if made.recognized is not None:
        note(f"{source}: {recognition_from(made.recognized, rewritten=made.adapted is not None).lines()[0]}")
    for line in lines:
        note(line)
    if table is None and made.recognized is None and not lines and not data_files(source):
        return _copy(source, target, request.overwrite)
    verify_import(source, model, spec, request.calib, note, adapted=made.adapted)
    return save_onnx(model, target, request.overwrite)


@contextmanager
def with_contract(path: Path, note: Note = silent) -> Iterator[Path]:
    """Yield an ONNX file that carries its contract: the file itself, or the import of a network that is recognized.

    Args:
        path: An ONNX file.
        note: Receives how the network was recognized, and what was guessed.
    """
    from edgepose.export.foreign import import_network
    from edgepose.graph.lookup import load_onnx

    if get_metadata(load_onnx(path), SPEC_KEY) is not None:
        yield path
        return
    made = with_measured_grid(import_network(path, None))
    if made.recognized is not None:
        for line in recognition_from(made.recognized, rewritten=made.adapted is not None).lines():
            note(line)
    with tempfile.TemporaryDirectory(prefix="edgepose-") as folder:
        yield save_onnx(made.model, Path(folder) / "fp32.onnx", overwrite=False)


def save_onnx(model: onnx.ModelProto, path: Path, overwrite: bool) -> Path:
    """Save a graph, in place of an existing file only if asked."""
    import onnx

    with placing(path, overwrite) as temporary:
        onnx.save(model, str(temporary))
    return path
