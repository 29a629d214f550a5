"""What the doubles of the TensorRT bindings do; which of it a generation has, trt_doubles.py decides.

An "engine" is the ONNX with its profile, and running it runs ONNX's reference evaluator on fake device memory.
"""

from __future__ import annotations

import pickle
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx.reference import ReferenceEvaluator


@dataclass
class World:
    """What a test sets up before, and finds out after."""

    parse_errors: list[dict[str, Any]] = field(default_factory=list)
    build_errors: list[str] = field(default_factory=list)  # logged; the build then returns None
    build_warnings: list[str] = field(default_factory=list)
    builder_fails: str | None = None
    timing_mismatch: bool = False
    timings: bytes = b"timings of the double"
    dla_cores: int = 0
    dla_refuses: tuple[str, ...] = ()  # layer types
    interrupt_at_step: int | None = None
    inspector: str = '{"Layers": []}'
    profile_shapes: tuple[tuple[int, ...], ...] = ()
    events: list[tuple[Any, ...]] = field(default_factory=list)
    memory: dict[int, np.ndarray] = field(default_factory=dict)
    api: Any = None  # the FakeApi, to whose streams inferences are given
    scratch: int = 4096
    open_errors: list[str] = field(default_factory=list)

    def told(self, name: str) -> list[Any]:
        """The arguments of every event of that name."""
        return [event[1] if len(event) == 2 else event[1:] for event in self.events if event[0] == name]


class Value:
    """A value of an enumeration."""

    def __init__(self, kind: str, name: str, number: int) -> None:
        self._kind, self.name, self._number = kind, name, number

    def __int__(self) -> int:
        return self._number

    def __repr__(self) -> str:
        return f"{self._kind}.{self.name}"


class ILogger:
    def __init__(self) -> None:
        pass


class IProgressMonitor:
    def __init__(self) -> None:
        pass


class IInt8EntropyCalibrator2:
    def __init__(self) -> None:
        pass


class Builder:
    def __init__(self, logger: Any) -> None:
        self._logger = logger
        if self._world.builder_fails is not None:
            logger.log(logger.ERROR, self._world.builder_fails)
            raise TypeError("pybind11::init(): factory function returned nullptr")

    @property
    def num_DLA_cores(self) -> int:
        return self._world.dla_cores

    def create_network(self, flags: int = 0) -> Any:
        self._world.events.append(("create_network", flags))
        return self._module.INetworkDefinition()

    def create_builder_config(self) -> Any:
        return self._module.IBuilderConfig()

    def create_optimization_profile(self) -> Any:
        return self._module.IOptimizationProfile()

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        monitor = getattr(config, "progress_monitor", None)
        if monitor is not None and not self._progress(monitor):
            return None
        for message in self._world.build_warnings:
            self._logger.log(self._logger.WARNING, message)
        for message in self._world.build_errors:
            self._logger.log(self._logger.ERROR, message)
        if self._world.build_errors:
            return None
        calibrator = getattr(config, "int8_calibrator", None)
        if calibrator is not None:
            cache = calibrator.read_calibration_cache()
            self._world.events.append(("cache", cache, calibrator.get_batch_size(), calibrator.get_batch(["x"])))
            calibrator.write_calibration_cache(cache)
        config._timed = True
        shared = ("PROFILE_SHARING_0806", True) in self._world.told("preview")
        return self._module.IHostMemory(
            pickle.dumps({"onnx": network._onnx, "shapes": config._profiles, "shared": shared})
        )

    def _progress(self, monitor: Any) -> bool:
        """Two phases, one inside the other, as the real builder reports them: parents named, steps from 0."""
        monitor.phase_start("Building", None, 2)
        for outer in range(2):
            monitor.phase_start("Timing", "Building", 3)
            for inner in range(3):
                if self._world.interrupt_at_step == inner:
                    self._world.interrupt_at_step = None
                    with_interrupt(monitor)
                if not monitor.step_complete("Timing", inner):
                    return False
            monitor.phase_finish("Timing")
            if not monitor.step_complete("Building", outer):
                return False
        monitor.phase_finish("Building")
        return True


def with_interrupt(monitor: Any) -> None:
    """Ctrl-C while the next step is shown."""

    def stop() -> None:
        raise KeyboardInterrupt

    monitor._show = stop


class INetworkDefinition:
    _onnx = b""

    @property
    def _graph(self) -> Any:
        return onnx.load_from_string(self._onnx).graph

    @property
    def num_inputs(self) -> int:
        return len(self._graph.input)

    @property
    def num_outputs(self) -> int:
        return len(self._graph.output)

    @property
    def num_layers(self) -> int:
        return len(self._graph.node)

    def get_input(self, index: int) -> Any:
        return self._tensor(self._graph.input[index])

    def get_output(self, index: int) -> Any:
        return self._tensor(self._graph.output[index])

    def get_layer(self, index: int) -> Any:
        node = self._graph.node[index]
        layer = self._module.ILayer()
        layer.name, layer.type = node.name, Value("LayerType", node.op_type.upper(), 0)
        return layer

    def _tensor(self, port: Any) -> Any:
        tensor = self._module.ITensor()
        tensor.name = port.name
        tensor.shape = tuple(axis.dim_value or -1 for axis in port.type.tensor_type.shape.dim)
        return tensor


class IOptimizationProfile:
    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        vars(self).setdefault("_shapes", {})[input] = (min, opt, max)


class IBuilderConfig:
    def __init__(self) -> None:
        self._profiles: dict[str, Any] = {}
        self._timed = False

    def add_optimization_profile(self, profile: Any) -> int:
        self._profiles |= profile._shapes
        self._world.events.append(("profile", profile._shapes))
        return 0

    def set_flag(self, flag: Value) -> None:
        self._world.events.append(("set_flag", flag.name))

    def clear_flag(self, flag: Value) -> None:
        self._world.events.append(("clear_flag", flag.name))

    def set_memory_pool_limit(self, pool: Value, pool_size: int) -> None:
        self._world.events.append(("pool", pool.name, pool_size))

    def set_compute_capability(self, compute_capability: Value, index: int) -> bool:
        self._world.events.append(("capability", compute_capability.name, index))
        return True

    def set_preview_feature(self, feature: Value, enable: bool) -> None:
        self._world.events.append(("preview", feature.name, enable))

    def can_run_on_DLA(self, layer: Any) -> bool:
        return layer.type.name not in self._world.dla_refuses

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        made = self._module.ITimingCache()
        made._data = serialized_timing_cache
        return made

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self._world.events.append(("timings", cache._data, ignore_mismatch))
        if cache._data and self._world.timing_mismatch:
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> Any:
        if self._timed:
            self._cache._data = self._world.timings
        return self._cache


class ITimingCache:
    def serialize(self) -> Any:
        return self._module.IHostMemory(self._data)


class IHostMemory:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bytes__(self) -> bytes:
        return self._data


class OnnxParser:
    def __init__(self, network: Any, logger: Any) -> None:
        self._network = network

    @property
    def num_errors(self) -> int:
        return len(self._world.parse_errors)

    def get_error(self, index: int) -> Any:
        error = self._module.ParserError()
        error._facts = self._world.parse_errors[index]
        return error

    def parse_from_file(self, model: str) -> bool:
        self._network._onnx = Path(model).read_bytes()
        try:
            readable = bool(onnx.load_from_string(self._network._onnx).graph.node)
        except DecodeError:
            readable = False
        return readable and not self._world.parse_errors


class ParserError:
    def desc(self) -> str:
        return self._facts["desc"]

    def node(self) -> int:
        return self._facts["node"]

    def node_name(self) -> str:
        return self._facts["name"]

    def node_operator(self) -> str:
        return self._facts["operator"]


class Runtime:
    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        for message in self._world.open_errors:
            self._logger.log(self._logger.ERROR, message)
        if self._world.open_errors:
            return None
        engine = self._module.ICudaEngine()
        engine._content = pickle.loads(serialized_engine)
        return engine


class ICudaEngine:
    @property
    def _graph(self) -> Any:
        return onnx.load_from_string(self._content["onnx"]).graph

    @property
    def _ports(self) -> list[Any]:
        return [*self._graph.input, *self._graph.output]

    @property
    def num_io_tensors(self) -> int:
        return len(self._ports)

    def get_tensor_name(self, index: int) -> str:
        return self._ports[index].name

    def get_tensor_mode(self, name: str) -> Any:
        modes = self._module.TensorIOMode
        return modes.INPUT if any(port.name == name for port in self._graph.input) else modes.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        port = next(port for port in self._ports if port.name == name)
        return tuple(axis.dim_value or -1 for axis in port.type.tensor_type.shape.dim)

    def get_tensor_dtype(self, name: str) -> Any:
        return self._module.DataType.FLOAT

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Any]:
        return list(self._content["shapes"][name])

    @property
    def device_memory_size(self) -> int:
        return self._world.scratch

    device_memory_size_v2 = device_memory_size

    def create_runtime_config(self) -> Any:
        return self._module.IRuntimeConfig()

    def create_execution_context(self, given: Any = None) -> Any:
        """given: an ExecutionContextAllocationStrategy or an IRuntimeConfig."""
        strategy = getattr(given, "_strategy", given)
        specialization = getattr(given, "dynamic_shapes_kernel_specialization_strategy", None)
        self._world.events.append(("context", specialization and specialization.name))
        context = self._module.IExecutionContext()
        context._owner, context._shapes, context._addresses = self, {}, {}
        context._wants_scratch = strategy is not None and strategy.name == "USER_MANAGED"
        contexts = vars(self).setdefault("_contexts", weakref.WeakSet())
        context._profile = not contexts  # 8.6 gives its profile to the first
        contexts.add(context)
        return context

    def create_execution_context_without_device_memory(self) -> Any:
        context = self._module.ICudaEngine.create_execution_context(self)
        context._wants_scratch = True
        return context

    def create_engine_inspector(self) -> Any:
        return self._module.EngineInspector()


class EngineInspector:
    def get_engine_information(self, format: Value) -> str:
        assert format.name == "JSON"
        return self._world.inspector


class IRuntimeConfig:
    def set_execution_context_allocation_strategy(self, strategy: Value) -> None:
        vars(self)["_strategy"] = strategy


class IExecutionContext:
    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._world.events.append(("set_input_shape", name, shape))
        strong = hasattr(self._module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
        if not (self._profile or strong or self._owner._content["shared"]):
            return False  # "Profile 0 has been chosen by another IExecutionContext"
        self._shapes[name] = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        batch = next(iter(self._shapes.values()))[0]
        return self._shapes.get(name) or (batch, *self._owner.get_tensor_shape(name)[1:])

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return memory in self._world.memory

    @property
    def device_memory(self) -> int:
        return self._scratch

    @device_memory.setter
    def device_memory(self, memory: int) -> None:
        assert len(self._world.memory[memory]) >= self._world.scratch
        vars(self)["_scratch"] = memory

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size >= self._world.scratch
        assert len(self._world.memory[memory]) >= self._world.scratch
        vars(self)["_scratch"] = memory

    def is_stream_capturable(self, stream: int) -> bool:
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._world.events.append(("execute", stream_handle))
        if self._world.open_errors:
            return False
        assert not self._wants_scratch or self._scratch in self._world.memory
        self._world.events.append(("own scratch", not self._wants_scratch))
        shapes, addresses = dict(self._shapes), dict(self._addresses)  # those of now, also in a graph
        self._world.api.give(stream_handle, lambda: self._execute(shapes, addresses))
        return True

    def _execute(self, shapes: dict[str, Any], addresses: dict[str, int]) -> None:
        memory = self._world.memory
        feed = {
            name: np.frombuffer(memory[addresses[name]], np.float32, int(np.prod(shape))).reshape(shape)
            for name, shape in shapes.items()
        }
        found = ReferenceEvaluator(onnx.load_from_string(self._owner._content["onnx"])).run(None, feed)
        for port, value in zip(self._owner._graph.output, found, strict=True):
            data = np.frombuffer(np.ascontiguousarray(value, np.float32), np.uint8)
            memory[addresses[port.name]][: data.size] = data


BEHAVIORS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        ILogger, IProgressMonitor, IInt8EntropyCalibrator2, Builder, INetworkDefinition, IOptimizationProfile,
        IBuilderConfig, ITimingCache, IHostMemory, OnnxParser, ParserError, Runtime, ICudaEngine, EngineInspector,
        IRuntimeConfig, IExecutionContext,
    )
}  # fmt: skip
