"""Load the weights that an ONNX file keeps in other files (external data), and refuse what is missing or too large."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edgepose.errors import ModelError, one_line
from edgepose.graph.subgraphs import tensors_of

if TYPE_CHECKING:
    import onnx

LARGEST = 2**31 - 1  # bytes of one protobuf message


def take_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Load external data into the model, in place, so that the model needs no other file.

    Args:
        model: The model as it was parsed.
        path: The ONNX file, in whose folder the data files are.

    Raises:
        ModelError: A data file is missing, too short or outside the folder, or the model is over 2 GB.
    """
    from onnx.external_data_helper import load_external_data_for_tensor

    tensors = list(_external(model))
    if not tensors:
        return
    for tensor in tensors:
        _check(tensor, path)
    total = path.stat().st_size + sum(_length(tensor) for tensor in tensors)
    if total > LARGEST:
        raise too_large(path, total)
    for tensor in tensors:
        try:
            load_external_data_for_tensor(tensor, str(path.parent))
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"{path}: cannot read the values of {tensor.name!r} from {_location(tensor)!r}: {one_line(error)}"
            ) from error
        tensor.data_location = tensor.DEFAULT
        del tensor.external_data[:]


def has_external_data(path: Path) -> bool:
    """Tell whether an ONNX file keeps weights in other files."""
    import onnx

    return any(True for _ in _external(onnx.load(path, load_external_data=False)))


def too_large(path: Path, size: int) -> ModelError:
    """Return the error about a model that is too large for one protobuf message."""
    return ModelError(
        f"{path} holds {size / 2**30:.1f} GiB; models over 2 GB are not supported: export a smaller network"
    )


def _external(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    return (tensor for tensor in tensors_of(model) if tensor.data_location == tensor.EXTERNAL)


def _entry(tensor: onnx.TensorProto, key: str) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == key), "")


def _location(tensor: onnx.TensorProto) -> str:
    return _entry(tensor, "location")


def _number(tensor: onnx.TensorProto, key: str) -> int:
    text = _entry(tensor, key)
    return int(text) if text.isascii() and text.isdigit() else 0


def _length(tensor: onnx.TensorProto) -> int:
    """Bytes of the values by type and dimensions."""
    import math

    from onnx import helper

    count = int(math.prod(tensor.dims))
    name = tensor.DataType.Name(tensor.data_type)
    if name in ("INT4", "UINT4", "FLOAT4E2M1"):
        return (count + 1) // 2
    if name in ("INT2", "UINT2"):
        return (count + 3) // 4
    return count * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _check(tensor: onnx.TensorProto, path: Path) -> None:
    location = _location(tensor)
    where = PurePosixPath(location.replace("\\", "/"))
    if not location or where.is_absolute() or ".." in where.parts or ":" in location[:2]:
        raise ModelError(
            f"{path}: the values of {tensor.name!r} are in {location!r}, outside the folder of the ONNX file; "
            "such paths are refused"
        )
    file = path.parent / location
    if not file.is_file():
        raise ModelError(
            f"{path}: the weights file {location!r} is missing (it holds {tensor.name!r}); put it beside the ONNX "
            "file, or export the network again"
        )
    if not file.resolve().is_relative_to(path.parent.resolve()):
        raise ModelError(
            f"{path}: the weights file {location!r} is a link that leaves the folder of the ONNX file; put the file "
            "itself there"
        )
    wanted, told = _length(tensor), _number(tensor, "length")
    if told and told != wanted:
        raise ModelError(
            f"{path}: {tensor.name!r} needs {wanted} bytes for {list(tensor.dims)}, its entry for {location!r} says "
            f"{told}; export the network again"
        )
    if file.stat().st_size < _number(tensor, "offset") + wanted:
        raise ModelError(
            f"{path}: the weights file {location!r} is too short ({file.stat().st_size} bytes) for {tensor.name!r}; "
            "copy it again"
        )
