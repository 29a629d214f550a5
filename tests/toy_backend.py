"""A complete backend in one file, for tests: it runs the graph with ONNX's reference evaluator.

`register()` adds its line to the registry. The payload is `model.onnx`, a copy of the graph.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from edgepose._options import option
from edgepose._progress import Track, quiet
from edgepose.artifacts.manifest import Manifest
from edgepose.backends import BACKENDS
from edgepose.backends.batches import check_feed
from edgepose.backends.declaration import BuildOptions, Declaration
from edgepose.backends.session import Built, OpenOptions
from edgepose.errors import BuildError, EngineError, ModelError, one_line
from edgepose.graph.lookup import load_onnx

FIRST_OPSET = 19  # the first whose Q/DQ nodes the evaluator implements; their meaning is that of earlier ones


@dataclass(frozen=True, kw_only=True)
class ToyOptions(BuildOptions):
    """Options of the toy backend: a text for the manifest."""

    label: str | None = option(None, "--toy-label", "Toy: text that the manifest records.", metavar="TEXT")


DECLARATION = Declaration(
    module=__name__, options=ToyOptions, imports=("onnx",), extra="cpu", packages=("onnx",), in_auto=False
)


def register() -> None:
    """Add the backend to the registry."""
    BACKENDS["toy"] = __name__


def problem() -> str | None:
    return None


def cannot_open() -> str | None:
    return None


def version() -> str:
    return str(onnx.__version__)


def refuse(options: ToyOptions) -> None:
    if options.precision == "fp16":
        raise BuildError("the toy backend computes in float32; leave fp16 out of --precision")


def graph_for(options: ToyOptions) -> str:
    return options.precision


def build(onnx_path: Path, folder: Path, options: ToyOptions, track: Track = quiet) -> Built:
    try:
        onnx.checker.check_model(load_onnx(onnx_path))
    except (ModelError, onnx.checker.ValidationError) as error:
        raise BuildError(f"the toy backend cannot build {onnx_path}: {one_line(error)}") from error
    shutil.copyfile(onnx_path, folder / "model.onnx")
    return Built(machine={}, build={"label": options.label} if options.label else {})


def differs(manifest: Manifest) -> list[str]:
    return []


def open(folder: Path, options: OpenOptions) -> ToySession:
    return ToySession(load_onnx(folder / "model.onnx"))


class ToySession:
    """A loaded network."""

    def __init__(self, model: onnx.ModelProto) -> None:
        model.opset_import[0].version = max(FIRST_OPSET, model.opset_import[0].version)
        self._nodes = [node.name or node.output[0] for node in model.graph.node if "Linear" not in node.op_type]
        self._model: ReferenceEvaluator | None = ReferenceEvaluator(model)
        self.inputs = tuple(port.name for port in model.graph.input)
        self.outputs = tuple(port.name for port in model.graph.output)
        self._shapes = {
            port.name: tuple(axis.dim_value or None for axis in port.type.tensor_type.shape.dim)[1:]
            for port in model.graph.input
        }

    def run(self, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self._model is None:
            raise EngineError("the session is closed; open the engine again")
        count = check_feed(feed, self._shapes, dict.fromkeys(self._shapes, np.float32))
        rows = [self._model.run(None, {name: feed[name][i : i + 1] for name in feed}) for i in range(count)]
        found = zip(self.outputs, zip(*rows, strict=True), strict=True)
        return {name: np.concatenate(parts) for name, parts in found}

    def layers(self) -> dict[str, str]:
        return dict.fromkeys(self._nodes, "fp32")

    def close(self) -> None:
        self._model = None

    def __enter__(self) -> ToySession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
