"""Run a foreign ONNX file as it is in ONNX Runtime: what its import, its casts and its engines are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose.errors import ModelError, one_line
from edgepose.graph.evaluate import plain_session, run_limited, runtime_failures
from edgepose.graph.importing.limits import MOST_IMAGES

DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


class Original:
    """An ONNX file that somebody else exported, loaded in plain ONNX Runtime.

    Args:
        path: The file.
        content: The content to load instead of that of the file.

    Raises:
        ModelError: ONNX Runtime cannot load the file.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        self._path = path
        try:
            self._session: Any = plain_session(path if content is None else content)
        except runtime_failures() as error:
            raise ModelError(f"ONNX Runtime cannot load {path}: {one_line(error)}") from error
        image = self._session.get_inputs()[0]
        self._name, self._dtype = str(image.name), DTYPES.get(image.type, np.float32)
        self._batch = image.shape[0] if image.shape and isinstance(image.shape[0], int) else 1
        if self._batch > MOST_IMAGES:
            raise ModelError(f"{path} demands {self._batch} images at once, which is not run here")

    def run(self, images: Array, outputs: tuple[str, ...]) -> list[Array]:
        """Return the outputs for each image, in arrays [N, ...].

        Every image goes through alone, since a graph may hold a fixed batch size; where the file demands a larger
        batch, the image is repeated.

        Args:
            images: [N, ...] in the layout of the file.
            outputs: The names of the outputs.

        Raises:
            ModelError: ONNX Runtime cannot run the file on such images.
        """
        found: list[list[Array]] = []
        for image in images:
            feed = {self._name: np.repeat(image[None], self._batch, axis=0).astype(self._dtype)}
            try:
                values = run_limited(self._session, outputs, feed)
            except runtime_failures() as error:
                raise ModelError(
                    f"ONNX Runtime cannot run {self._path} on images {list(feed[self._name].shape)}: {one_line(error)}"
                ) from error
            found.append([np.asarray(value)[:1] if self._batch > 1 else np.asarray(value) for value in values])
        return [np.concatenate(values) for values in zip(*found, strict=True)]
