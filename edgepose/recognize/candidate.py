"""What recognizers look at, and what they return: `Candidate` and `Recognized`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose.graph.lookup import graph_of

if TYPE_CHECKING:
    import onnx

    from edgepose.artifacts.spec import ModelSpec

METADATA = "metadata"  # what the ONNX file says about itself
FILES = "files"  # what files beside the ONNX file say
NAMES = "names"  # the names of the inputs and outputs
SHAPES = "shapes"  # the shapes and types of the inputs and outputs

GUESSED = "is a guess:"  # in the line about every guess

SIDE_FILES = ("pipeline.json", "detail.json", "deploy.json", "preprocessor_config.json", "config.json")


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or an output of a graph.

    Attributes:
        name: Its name.
        dtype: The numpy name of its type, for example "float32" or "uint8".
        shape: The length of each axis; its name where it is not fixed, and None where it has no name either. Empty
            where the graph does not state the shape.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An ONNX file without a contract, and what lies beside it.

    Attributes:
        path: The file; None for a graph that is in memory only.
        model: The graph, as `graph.importing.checked` reads it.
        metadata: The metadata properties of the ONNX file.
        inputs: The inputs, without initializers.
        outputs: The outputs.
        beside: File name -> path of the files that describe the network (`SIDE_FILES`).
        image_from: The image input as the file has it, where the graph was changed to take float32 with channels
            first (`forms`); None where the image is as in the file.
        asked: The name of the family that a spec names; None where any family may take the network.
        classes: Names or numbers of the classes of a detector that count as people; empty is "person".
    """

    path: Path | None
    model: onnx.ModelProto
    metadata: Mapping[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    beside: Mapping[str, Path]
    image_from: Port | None = None
    asked: str | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A value of a contract that no evidence states.

    Attributes:
        field: The key in the contract, for example "input.mean".
        value: Its value as text.
        reason: Why this value was taken, as a clause.
    """

    field: str
    value: str
    reason: str

    def line(self) -> str:
        """Return the guess as one line."""
        return f"{self.field} = {self.value} {GUESSED} {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Recognized:
    """A network that was recognized.

    Attributes:
        family: The name of its family.
        source: What it was recognized from: "metadata", "files", "names" or "shapes".
        model: The graph, rewritten so that its input and outputs are those of the contract.
        spec: The contract.
        guesses: The values of the contract that no evidence states.
    """

    family: str
    source: str
    model: onnx.ModelProto
    spec: ModelSpec
    guesses: tuple[Guess, ...] = ()


def candidate_of(model: onnx.ModelProto, path: Path | None = None, classes: tuple[str, ...] = ()) -> Candidate:
    """Collect what a recognizer may look at.

    Args:
        model: The graph.
        path: The file that the graph was read from, or None.
        classes: The classes of a detector that count as people; empty is "person".
    """
    inputs = set(graph_of(model).inputs)
    return Candidate(
        path=path,
        model=model,
        metadata={item.key: item.value for item in model.metadata_props},
        inputs=tuple(_port(value) for value in model.graph.input if value.name in inputs),
        outputs=tuple(_port(value) for value in model.graph.output),
        beside={} if path is None else {item.name: item for item in side_files(path)},
        classes=classes,
    )


def side_files(path: Path) -> tuple[Path, ...]:
    """Return the files beside an ONNX file that describe it.

    Hugging Face keeps the files of a network in `onnx/model.onnx` in the folder above.

    Args:
        path: The ONNX file.
    """
    folders = [path.parent, *([path.parent.parent] if path.parent.name == "onnx" else [])]
    found = {name: folder / name for name in SIDE_FILES for folder in reversed(folders) if (folder / name).is_file()}
    return tuple(found.values())


def _port(value: onnx.ValueInfoProto) -> Port:
    from onnx import TensorProto, helper

    kind = value.type.tensor_type
    known = value.type.HasField("tensor_type") and kind.elem_type != TensorProto.UNDEFINED
    dtype = str(helper.tensor_dtype_to_np_dtype(kind.elem_type)) if known else "unknown"
    return Port(name=value.name, dtype=dtype, shape=tuple(_axis(axis) for axis in kind.shape.dim))


def _axis(axis: onnx.TensorShapeProto.Dimension) -> int | str | None:
    return int(axis.dim_value) if axis.dim_value > 0 else (axis.dim_param or None)
