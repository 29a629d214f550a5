"""Run an engine of the TensorRT family.

`run` takes arrays in host memory. A pipeline that stays on the device (runtime/device.py) creates its own contexts
on the session's driver, binds its buffers and enqueues work on its streams. A session may be opened in one thread
and run in another.

Run only the tests of this file with `pytest tests/backends/test_trt_session.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose.backends.batches import Shape, check_feed, pieces, store
from edgepose.backends.cuda import Block, Driver, open_driver
from edgepose.backends.tensorrt.context import TrtContext, context_on, own_context, scratch_bytes
from edgepose.backends.tensorrt.inspector import layers_of
from edgepose.backends.tensorrt.log import log_of
from edgepose.errors import EngineError

# DataType -> numpy; the library's `nptype` uses names that numpy 2 does not have
DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}


class TrtSession:
    """A loaded engine; see `Session` and `DeviceSession`.

    Args:
        trt: The imported library.
        plan: The serialized engine.
        driver: Owner of the memory and streams; the session closes it.
        dla_core: Core of the DLA that the engine was built for, or None for the GPU.
    """

    def __init__(self, trt: ModuleType, plan: bytes, driver: Driver, dla_core: int | None = None) -> None:
        self._trt, self.driver, self._log = trt, driver, log_of(trt)
        self._blocks: dict[str, Block] = {}
        self._context: TrtContext | None = None
        self._stream = 0
        with driver.current():
            self._runtime, self._engine = deserialize(trt, plan, dla_core)
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        self.inputs: tuple[str, ...] = tuple(name for name in names if self._is_input(name))
        self.outputs: tuple[str, ...] = tuple(name for name in names if not self._is_input(name))
        self._shapes: dict[str, Shape] = {name: _item(self._engine.get_tensor_shape(name)) for name in self.inputs}
        self.smallest, self.largest = self._batch_range()

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network on arrays [N, ...] in host memory; see `Session.run`."""
        self._check_open()
        total = check_feed(feed, self._shapes, {name: self.dtype(name) for name in self.inputs})
        self._log.clear()
        outputs: dict[str, Array] = {}
        with self.driver.current():
            context = self._own_context()
            for part in pieces(total, self.largest):
                size = self._run_piece(context, {name: feed[name][part] for name in self.inputs})
                for name in self.outputs:
                    store(outputs, name, self._blocks[name].host[:size], part, total)
        return outputs

    def _run_piece(self, context: TrtContext, piece: dict[str, Array]) -> int:
        """Run a piece that fits the profile and return its length; a piece that is too small is padded with zeros."""
        count = len(piece[self.inputs[0]])
        size = max(self.smallest, count)
        context.set_batch(size)
        for name, value in piece.items():
            self._blocks[name].host[:count] = value
            self._blocks[name].host[count:size] = 0
            self._blocks[name].send(self._stream, size)
        context.enqueue(self._stream)
        for name in self.outputs:
            self._blocks[name].fetch(self._stream, size)
        self.driver.finish(self._stream)
        return count

    def _own_context(self) -> TrtContext:
        """Return the context of `run`, created when first used because a device pipeline does not need it."""
        if self._context is not None:
            return self._context
        context = TrtContext(self._trt, self._engine, own_context(self._trt, self._engine), self._shapes)
        context.set_batch(self.largest)
        self._stream = self._stream or self.driver.make_stream()
        for name in (*self.inputs, *self.outputs):
            if name not in self._blocks:
                self._blocks[name] = self.driver.make_block(context.shape(name), self.dtype(name))
            context.bind(name, self._blocks[name].there.address)
        self._context = context
        return context

    @property
    def scratch_bytes(self) -> int:
        """Device memory in bytes that a context of `make_context` needs."""
        return scratch_bytes(self._engine)

    def make_context(self, scratch: int) -> TrtContext:
        """Create a context, which must be deleted before the session is closed.

        Args:
            scratch: Address of `scratch_bytes` of device memory; contexts on one stream may share it.

        Raises:
            EngineError: The session is closed, or the library cannot create the context.
        """
        self._check_open()
        self._log.clear()
        with self.driver.current():
            return TrtContext(self._trt, self._engine, context_on(self._trt, self._engine, scratch), self._shapes)

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the data type of an input or output.

        Raises:
            EngineError: numpy has no such type.
        """
        kind = self._engine.get_tensor_dtype(name).name
        if kind not in DTYPES:
            raise EngineError(f"tensor {name!r} is {kind}, which nothing here reads; export float32 inputs and outputs")
        return np.dtype(DTYPES[kind])

    def layers(self) -> dict[str, str]:
        """Return the precision that each layer runs in; see `Session.layers`."""
        self._check_open()
        with self.driver.current():
            return layers_of(self._trt, self._engine)

    def close(self) -> None:
        """Free the engine and everything that its driver allocated."""
        if self._engine is None:
            return
        with self.driver.current():
            self._context = None
            self._engine = None
            self._runtime = None  # the library requires this order
        self._blocks.clear()
        self.driver.close()

    def __enter__(self) -> TrtSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._engine is None:
            raise EngineError("the session is closed; open the engine again")

    def _is_input(self, name: str) -> bool:
        return bool(self._engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT)

    def _batch_range(self) -> tuple[int, int]:
        """Return the smallest and the largest batch size that the engine was built for."""
        name = self.inputs[0]
        first = int(self._engine.get_tensor_shape(name)[0])
        if first != -1:
            return first, first
        smallest, _, largest = self._engine.get_tensor_profile_shape(name, 0)
        return int(smallest[0]), int(largest[0])


def deserialize(trt: ModuleType, plan: bytes, dla_core: int | None = None) -> tuple[Any, Any]:
    """Load a serialized engine.

    Args:
        trt: The imported library.
        plan: The serialized engine.
        dla_core: Core of the DLA, or None for the GPU.

    Returns:
        The library's runtime and engine. The runtime must outlive the engine.

    Raises:
        EngineError: The library cannot load it; the message explains what the library reported.
    """
    log = log_of(trt)
    log.clear()
    runtime = trt.Runtime(log.logger)
    if dla_core is not None:
        runtime.DLA_core = dla_core
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineError(log.reason("cannot load the engine"))
    return runtime, engine


def _item(shape: Any) -> Shape:
    """Return the shape of one item: without the batch axis, and with None for free axes."""
    return tuple(None if int(axis) == -1 else int(axis) for axis in tuple(shape)[1:])


def open_session(trt: ModuleType, plan: Path, dla_core: int | None = None) -> TrtSession:
    """Open an engine with its own driver.

    Args:
        trt: The imported library.
        plan: File of the serialized engine.
        dla_core: Core of the DLA, or None for the GPU.

    Raises:
        EngineError: There is no GPU, or the library cannot load the engine.
    """
    driver = open_driver()
    try:
        return TrtSession(trt, plan.read_bytes(), driver, dla_core)
    except EngineError:
        driver.close()
        raise
