"""An execution context of a TensorRT engine, with its own buffers and batch size.

A CUDA graph refers to the buffers and shapes of the context it was captured from, which must not change afterwards,
so each graph has its own context. Contexts that run one after another on a stream may share scratch memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from edgepose.backends.batches import Shape
from edgepose.backends.tensorrt.log import log_of
from edgepose.errors import EngineError


class TrtContext:
    """See `DeviceContext`.

    Args:
        trt: The imported library.
        engine: The library's engine.
        context: The library's context, or None if the library failed to create it.
        inputs: Shape of one item of each input, without the batch axis.

    Raises:
        EngineError: `context` is None.
    """

    def __init__(self, trt: ModuleType, engine: Any, context: Any, inputs: Mapping[str, Shape]) -> None:
        self._log, self._engine, self._context, self._inputs = log_of(trt), engine, context, inputs
        if context is None:
            raise EngineError(self._log.reason("cannot prepare the engine to run"))
        self._batch = 0

    def bind(self, name: str, address: int) -> None:
        """Use the device memory at `address` for an input or output until the next `bind` of this name."""
        if not self._context.set_tensor_address(name, address):
            raise EngineError(self._log.reason(f"takes no memory for tensor {name!r}"))

    def set_batch(self, size: int) -> None:
        """Set the number of people of the next `enqueue`, which must be within the engine's profile."""
        if size == self._batch:
            return
        for name, shape in self._inputs.items():
            if not self._context.set_input_shape(name, (size, *shape)):
                raise EngineError(self._log.reason(f"cannot run {size} people at once"))
        self._batch = size

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an input or output at the current batch size."""
        return tuple(int(axis) for axis in self._context.get_tensor_shape(name))

    def capturable(self, stream: int) -> bool:
        """Return whether `enqueue` may be captured; TensorRT-RTX reports this, and with TensorRT it always may be."""
        return not hasattr(self._context, "is_stream_capturable") or bool(self._context.is_stream_capturable(stream))

    def forget(self) -> None:
        """Clear the errors that were logged so far, so that later messages do not repeat them."""
        self._log.clear()

    def enqueue(self, stream: int) -> None:
        """Enqueue one inference on a CUDA stream and return before it has finished."""
        if not self._context.execute_async_v3(stream):
            raise EngineError(self._log.reason("cannot run the network"))


def scratch_bytes(engine: Any) -> int:
    """Return the device memory that a context needs while it runs; the attribute has another name in 8.6 and 10.0."""
    name = "device_memory_size_v2" if hasattr(engine, "device_memory_size_v2") else "device_memory_size"
    return int(getattr(engine, name))


def own_context(trt: ModuleType, engine: Any, strategy: str = "STATIC") -> Any:
    """Create a context of the library.

    TensorRT-RTX is set to compile its kernels before the first run. By default it would replace kernels later,
    after a CUDA graph has captured the first ones.

    Args:
        trt: The imported library.
        engine: The library's engine.
        strategy: Owner of the scratch memory: STATIC for the library, USER_MANAGED for the caller.

    Returns:
        The context, or None if the library fails.
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
    """Create a context that uses `scratch_bytes` of device memory at the address `scratch`; None if that fails."""
    made = own_context(trt, engine, "USER_MANAGED")
    if made is None:
        return None
    if hasattr(made, "set_device_memory"):
        made.set_device_memory(scratch, scratch_bytes(engine))
    else:
        made.device_memory = scratch
    return made
