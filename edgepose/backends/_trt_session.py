"""A session of a TensorRT engine: named tensors, one execution context, `execute_async_v3`.

`run` takes host arrays. A pipeline that stays on the device uses the parts of it: `bind` its own buffers,
`set_batch`, then `enqueue` on its own stream, which may be captured as a CUDA graph.

Test alone: `pytest tests/backends/test_trt_session.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose.backends._trt_inspect import layers_of
from edgepose.backends._trt_log import log_of
from edgepose.backends.batches import Shape, check_feed, store
from edgepose.backends.cuda import Driver, open_driver
from edgepose.errors import EngineError

# DataType -> numpy; the library's own `nptype` asks numpy 1 for names that numpy 2 does not have
DTYPES = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32", "INT64": "int64", "BOOL": "bool"}


class TrtSession:
    """See `Session`. It owns `driver` and closes it."""

    def __init__(self, trt: ModuleType, plan: bytes, driver: Driver, dla_core: int | None = None) -> None:
        self._trt, self._driver, self._log = trt, driver, log_of(trt)
        self._buffers: dict[str, int] = {}
        self._runtime, self._engine = deserialise(trt, plan, dla_core)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise EngineError(self._log.reason("cannot prepare the engine to run"))
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        self.inputs: tuple[str, ...] = tuple(name for name in names if self._is_input(name))
        self.outputs: tuple[str, ...] = tuple(name for name in names if not self._is_input(name))
        self._shapes: dict[str, Shape] = {name: _item(self._engine.get_tensor_shape(name)) for name in self.inputs}
        self.smallest, self.largest = self._batch_range()
        self._batch = 0

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        if self._engine is None:
            raise EngineError("the session is closed; open the engine again")
        total = check_feed(feed, self._shapes)
        self._log.clear()
        self._make_buffers()
        outputs: dict[str, Array] = {}
        for part in pieces(total, self.largest):
            found = self._run_piece({name: feed[name][part] for name in self.inputs})
            for name, value in found.items():
                store(outputs, name, value[: part.stop - part.start], part, total)
        return outputs

    def _run_piece(self, piece: dict[str, Array]) -> dict[str, Array]:
        """A piece no larger than the profile; one smaller than it is filled up, and its rest is left to `run`."""
        size = max(self.smallest, *(len(value) for value in piece.values()))
        for name, address in self._buffers.items():
            self.bind(name, address)  # a pipeline may have bound its own
        for name, value in piece.items():
            self._driver.upload(self._buffers[name], _filled(value, size))
        self.set_batch(size)
        self.enqueue(self._driver.stream)
        found = {name: np.empty(self._shape(name), self._dtype(name)) for name in self.outputs}
        for name, value in found.items():
            self._driver.download(value, self._buffers[name])
        return found

    def bind(self, name: str, address: int) -> None:
        """Read an input from, or write an output to, device memory of the caller's, until the next `bind`."""
        if not self._context.set_tensor_address(name, address):
            raise EngineError(self._log.reason(f"takes no memory for tensor {name!r}"))

    def set_batch(self, size: int) -> None:
        """The number of people of the next `enqueue`, within `smallest` and `largest`."""
        if size == self._batch:
            return
        for name in self.inputs:
            if not self._context.set_input_shape(name, (size, *self._shapes[name])):
                raise EngineError(self._log.reason(f"cannot run {size} people at once"))
        self._batch = size

    def enqueue(self, stream: int) -> None:
        """Give one inference to a CUDA stream; it returns before the work is done."""
        if not self._context.execute_async_v3(stream):
            raise EngineError(self._log.reason("cannot run the network"))

    def layers(self) -> dict[str, str]:
        return layers_of(self._trt, self._engine)

    def close(self) -> None:
        """Free the engine, its buffers and the driver's stream."""
        if self._engine is None:
            return
        for address in self._buffers.values():
            self._driver.free(address)
        self._buffers.clear()
        self._context = self._engine = self._runtime = None  # in this order the library wants them gone
        self._driver.close()

    def __enter__(self) -> TrtSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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

    def _make_buffers(self) -> None:
        """Device memory for the largest batch, made at the first `run`: a device pipeline needs none of it."""
        if self._buffers:
            return
        self.set_batch(self.largest)
        for name in (*self.inputs, *self.outputs):
            nbytes = int(np.prod(self._shape(name))) * self._dtype(name).itemsize
            self._buffers[name] = self._driver.allocate(nbytes)

    def _shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor at the batch size that is set."""
        return tuple(int(axis) for axis in self._context.get_tensor_shape(name))

    def _dtype(self, name: str) -> np.dtype[Any]:
        return np.dtype(DTYPES[self._engine.get_tensor_dtype(name).name])


def deserialise(trt: ModuleType, plan: bytes, dla_core: int | None = None) -> tuple[Any, Any]:
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


def pieces(total: int, largest: int) -> Iterator[slice]:
    """Cut 0..total into as few runs as can be, of at most `largest` and of nearly one length."""
    count = -(-total // largest)
    for index in range(count):
        yield slice(total * index // count, total * (index + 1) // count)


def _filled(value: Array, size: int) -> Array:
    """`value` [n, ...] contiguous, with zeros behind it up to `size` items."""
    if len(value) == size:
        return np.ascontiguousarray(value)
    made = np.zeros((size, *value.shape[1:]), value.dtype)
    made[: len(value)] = value
    return made


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
