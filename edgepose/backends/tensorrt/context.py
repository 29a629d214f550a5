"""One execution context of a TensorRT engine: its own buffers and batch size, work given to any stream.

A CUDA graph holds the buffers and shapes of the context it was captured from, and those must not change behind it:
a context a graph. Contexts that take turns on one stream may share the scratch memory that the engine asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from edgepose.backends.batches import Shape
from edgepose.backends.tensorrt.log import log_of
from edgepose.errors import EngineError


class TrtContext:
    """context: the library's own. inputs: the shapes of one item, by name."""

    def __init__(self, trt: ModuleType, engine: Any, context: Any, inputs: Mapping[str, Shape]) -> None:
        self._log, self._engine, self._context, self._inputs = log_of(trt), engine, context, inputs
        if context is None:
            raise EngineError(self._log.reason("cannot prepare the engine to run"))
        self._batch = 0

    def bind(self, name: str, address: int) -> None:
        """Read an input from, or write an output to, this device memory, until the next `bind`."""
        if not self._context.set_tensor_address(name, address):
            raise EngineError(self._log.reason(f"takes no memory for tensor {name!r}"))

    def set_batch(self, size: int) -> None:
        """The number of people of the next `enqueue`, within the engine's profile."""
        if size == self._batch:
            return
        for name, shape in self._inputs.items():
            if not self._context.set_input_shape(name, (size, *shape)):
                raise EngineError(self._log.reason(f"cannot run {size} people at once"))
        self._batch = size

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor at the batch size that is set."""
        return tuple(int(axis) for axis in self._context.get_tensor_shape(name))

    def capturable(self, stream: int) -> bool:
        """Whether `enqueue` may be captured; TensorRT-RTX says so, the others always are."""
        return not hasattr(self._context, "is_stream_capturable") or bool(self._context.is_stream_capturable(stream))

    def forget(self) -> None:
        """Errors so far have been dealt with: what fails later has other reasons."""
        self._log.clear()

    def enqueue(self, stream: int) -> None:
        """Give one inference to a CUDA stream; it returns before the work is done."""
        if not self._context.execute_async_v3(stream):
            raise EngineError(self._log.reason("cannot run the network"))


def scratch_bytes(engine: Any) -> int:
    """The device memory that a context needs while it runs. 8.6 and 10.0 say it under another name than 11."""
    name = "device_memory_size_v2" if hasattr(engine, "device_memory_size_v2") else "device_memory_size"
    return int(getattr(engine, name))


def own_context(trt: ModuleType, engine: Any, strategy: str = "STATIC") -> Any:
    """The library's context, or None where it fails. strategy: of its memory; STATIC: the library's own.

    TensorRT-RTX is told to compile its kernels before the first run: by default better ones replace those that a
    CUDA graph has captured.
    """
    if not hasattr(trt, "ExecutionContextAllocationStrategy"):  # 8.6
        shared = strategy == "USER_MANAGED"
        return engine.create_execution_context_without_device_memory() if shared else engine.create_execution_context()
    memory = getattr(trt.ExecutionContextAllocationStrategy, strategy)
    if not hasattr(trt, "DynamicShapesKernelSpecializationStrategy"):
        return engine.create_execution_context(memory)
    config = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    config.set_execution_context_allocation_strategy(memory)
    return engine.create_execution_context(config)


def context_on(trt: ModuleType, engine: Any, scratch: int) -> Any:
    """The library's context that uses scratch memory of ours (`scratch_bytes` of it), or None where it fails."""
    made = own_context(trt, engine, "USER_MANAGED")
    if made is None:
        return None
    if hasattr(made, "set_device_memory"):
        made.set_device_memory(scratch, scratch_bytes(engine))
    else:
        made.device_memory = scratch
    return made
