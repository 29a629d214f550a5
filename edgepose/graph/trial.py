"""Try a foreign graph in a child process, since ONNX Runtime ends the whole process on some damaged graphs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose._child import Child
from edgepose.errors import ModelError
from edgepose.graph.lookup import copied

if TYPE_CHECKING:
    import onnx

NO_MEMORY = ("bad_alloc", "Failed to allocate memory", "MemoryError", "bad allocation")
RUNNER = Child("edgepose.graph.trial_child", timeout_s=300)


def refuse_crashing(model: onnx.ModelProto, images: Sequence[int], dtype: str, where: str) -> None:
    """Refuse a graph that crashes ONNX Runtime when it is loaded, optimized or run.

    A graph that ONNX Runtime refuses with an error passes: the import runs it again and reports that error.

    Args:
        model: The graph, with the size of its image fixed.
        images: The shape of a batch of one image.
        dtype: The NumPy type of the image.
        where: The name of the file, for the error message.

    Raises:
        ModelError: The graph crashes ONNX Runtime, does not end, or needs more memory than there is.
    """
    model = copied(model)  # with all sizes known, ONNX Runtime computes the shapes inside when it loads the graph
    for axis, length in zip(model.graph.input[0].type.tensor_type.shape.dim, images, strict=False):
        axis.dim_value = length
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        path.write_bytes(model.SerializeToString())
        answer = RUNNER.ask([str(path), model.graph.input[0].name, list(images), dtype])
    if answer is not None and any(word in str(answer[0]) for word in NO_MEMORY):
        raise ModelError(
            f"{where} needs more memory for one image than this machine has ({answer[0]}); export it for a smaller "
            "image, or import it on a larger machine"
        )
    if answer is None:
        raise ModelError(
            f"{where}: ONNX Runtime crashes on this graph, or does not end; it is damaged: export the network again"
        )
