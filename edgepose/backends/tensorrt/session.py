"""A session of a TensorRT engine: named tensors, `execute_async_v3`, memory and a stream of its own driver.

`run` takes host arrays. A pipeline that stays on the device (runtime/device.py) makes contexts of its own on the
session's driver, binds its buffers and gives work to its streams. A session may be opened in one thread and run in
another.

Test alone: `pytest tests/backends/test_trt_session.py`.
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

# DataType -> numpy; the library's own `nptype` asks numpy 1 for names that numpy 2 does not have
DTYPES = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32", "INT64": "int64", "BOOL": "bool"}


class TrtSession:
    """See `Session` and `DeviceSession`. It owns `driver` and closes it."""

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
        self._check_open()
        total = check_feed(feed, self._shapes)
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
        """Run a piece no larger than the profile; its length. One that is too small is filled up with zeros."""
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
        """The context of `run` with its memory, made at the first one: a device pipeline needs none of it."""
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
        """What contexts of `make_context` need."""
        return scratch_bytes(self._engine)

    def make_context(self, scratch: int) -> TrtContext:
        """A context that uses `scratch_bytes` of device memory at `scratch`; contexts on one stream may share it.

        It must go before the session is closed.
        """
        self._check_open()
        self._log.clear()
        with self.driver.current():
            return TrtContext(self._trt, self._engine, context_on(self._trt, self._engine, scratch), self._shapes)

    def dtype(self, name: str) -> np.dtype[Any]:
        """The type of an input or output. EngineError for one that numpy has not."""
        kind = self._engine.get_tensor_dtype(name).name
        if kind not in DTYPES:
            raise EngineError(f"tensor {name!r} is {kind}, which nothing here reads; export float32 inputs and outputs")
        return np.dtype(DTYPES[kind])

    def layers(self) -> dict[str, str]:
        self._check_open()
        with self.driver.current():
            return layers_of(self._trt, self._engine)

    def close(self) -> None:
        """Free the engine and all that its driver holds."""
        if self._engine is None:
            return
        with self.driver.current():
            self._context = None
            self._engine = None
            self._runtime = None  # in this order the library wants them gone
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
        """The batch sizes that the engine was built for."""
        name = self.inputs[0]
        first = int(self._engine.get_tensor_shape(name)[0])
        if first != -1:
            return first, first
        smallest, _, largest = self._engine.get_tensor_profile_shape(name, 0)
        return int(smallest[0]), int(largest[0])


def deserialize(trt: ModuleType, plan: bytes, dla_core: int | None = None) -> tuple[Any, Any]:
    """(runtime, engine) of a plan; the runtime must outlive the engine. EngineError with what the library said."""
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
    """The shape of one item: the batch axis left out, free axes as None."""
    return tuple(None if int(axis) == -1 else int(axis) for axis in tuple(shape)[1:])


def open_session(trt: ModuleType, plan: Path, dla_core: int | None = None) -> TrtSession:
    """A session with a driver of its own. EngineError where there is no GPU, or the library refuses the plan."""
    driver = open_driver()
    try:
        return TrtSession(trt, plan.read_bytes(), driver, dla_core)
    except EngineError:
        driver.close()
        raise
