"""One CUDA stream of the device pipeline with its memory: a frame is uploaded, joints are downloaded.

    frame, matrices -> [copy] -> warp_normalize -> network -> decoder -> [copy] -> N x K x 3 floats, or people

The first run with some number of people launches this work kernel by kernel; later runs replay it as one CUDA graph.
A graph holds the addresses of its buffers, so they never move. A frame of another size needs another buffer, and the
graphs of the old size are dropped with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.cuda import Block, Driver
from edgepose.backends.session import DeviceContext, DeviceSession
from edgepose.codecs.outputs import outputs_of
from edgepose.codecs.overflow import overflowed
from edgepose.errors import EngineError
from edgepose.kernels import cuda, options_of
from edgepose.kernels.cuda import DeviceArray, Launch

Run = Callable[[Launch, int], None]  # a kernel of the fatbin, on a stream


class Lane:
    """A stream with buffers for at most `capacity` people.

    Args:
        session: The opened network.
        driver: Allocates everything here; closing it frees everything.
        spec: The contract of the network.
        run: Launches a kernel on a stream.
        capacity: The largest number of people in one run. In a flip test each takes two places of the batch.
        flip: Whether to run a flip test.
    """

    def __init__(
        self, session: DeviceSession, driver: Driver, spec: ModelSpec, run: Run, capacity: int, flip: bool
    ) -> None:
        self._session, self._driver, self._spec, self._run = session, driver, spec, run
        self.capacity, self._flip = capacity, flip
        self._options = replace(options_of(spec), dtype=session.dtype(spec.input.name).name)
        self._stream = self._driver.make_stream()
        self._scratch = self._driver.allocate(max(1, session.scratch_bytes))
        places = max(session.smallest, 2 * capacity if flip else capacity)
        joints, shape = len(spec.skeleton), spec.codec.device_shape(spec.skeleton)
        self._maps = self._driver.make_block((places, 6), np.uint64)
        self._affines = self._driver.make_block((capacity, 2, 3), np.float64)
        self._joints = self._driver.make_block((capacity, *shape), np.float32)
        self._crops = self._driver.empty((places, *spec.input.shape), self._options.dtype)
        self._order = self._driver.make_block((joints,), np.int32)
        self._order.host[:] = spec.skeleton.flip_order()
        self._order.send(self._stream)
        self._driver.finish(self._stream)
        self._outputs = self._make_outputs(places)
        self._contexts: dict[int, DeviceContext] = {}
        self._frame: Block | None = None
        self._graphs: dict[int, int] = {}
        self._ran: set[int] = (
            set()
        )  # numbers of people that ran once: libraries initialize in the first run, which cannot be captured
        self._network_graph: tuple[int, int] | None = None
        self.no_graphs = ""  # why the work cannot be captured as a CUDA graph

    def begin(self, image: Array | DeviceArray, matrices: Array, inverse: Array) -> None:
        """Give the work on n people of a frame to the stream; `joints` waits for it.

        Args:
            image: The frame, [H, W, 3] uint8 BGR. A frame on the device must not change before `joints` returns.
            matrices: The matrices image -> crop, [n, 2, 3].
            inverse: The matrices crop -> image, [n, 2, 3].
        """
        n = len(matrices)
        self._write_matrices(matrices, inverse)
        if isinstance(image, DeviceArray):
            self._give(image, n)
            return
        frame = self._frame_for(image)
        if not self._replay(n):
            frame.send(self._stream)
            self._give(frame.there, n)
            self._ran.add(n)

    def joints(self, n: int) -> Array:
        """Wait for the last `begin`.

        Returns:
            What the decoder wrote for its n crops, [n, *Codec.device_shape] float32; for most codecs joints [n, K, 3]
            of x, y in image pixels and score. The array is a copy.

        Raises:
            ModelError: The network overflowed.
        """
        self._driver.finish(self._stream)
        found = np.array(self._joints.host[:n])
        if not np.isfinite(found).all():
            raise overflowed(" and ".join(self._spec.codec.decodes))
        return found

    def _write_matrices(self, matrices: Array, inverse: Array) -> None:
        n, maps = len(matrices), self._maps.host
        cuda.fixed_affines(matrices, self._spec.input.size, maps[:n])
        if self._flip:
            mirror_columns(maps[:n], self._spec.input.size[1], maps[n : 2 * n])
        batch = self._batch(n)
        used = 2 * n if self._flip else n
        maps[used:batch] = maps[0]  # places that nobody needs compute the first person again
        self._affines.host[:n] = self._spec.codec.device_affines(inverse, self._map_size(), self._spec)

    def _frame_for(self, image: Array) -> Block:
        if self._frame is None or self._frame.there.shape != image.shape:
            self._drop_graphs()
            if self._frame is not None:
                self._frame.free()
                self._frame = None
            self._frame = self._driver.make_block(image.shape, np.uint8)
        self._frame.host[:] = image
        return self._frame

    def _replay(self, n: int) -> bool:
        """Replay the graph of n people. Return False where there is none, as in the first run."""
        if self.no_graphs or n not in self._ran:
            return False
        if n not in self._graphs and not self._capture(n):
            return False
        self._driver.replay(self._graphs[n], self._stream)
        return True

    def _capture(self, n: int) -> bool:
        frame = self._frame
        assert frame is not None
        if not self._context(self._batch(n)).capturable(self._stream):
            self.no_graphs = "the library says that this engine cannot be captured"
            return False

        def work() -> None:
            frame.send(self._stream)
            self._give(frame.there, n)

        try:
            self._graphs[n] = self._driver.capture(self._stream, work)
        except EngineError as error:  # the same kernels are launched one by one, which is slower
            self.no_graphs = str(error)
            self._context(self._batch(n)).forget()
            return False
        return True

    def _give(self, frame: DeviceArray, n: int) -> None:
        with self._driver.current():
            self.preprocess(frame, n)
            self.network(n)
            self.decode(n)

    def preprocess(self, frame: DeviceArray, n: int) -> None:
        """Cut crops from a frame on the device with the matrices that `begin` wrote."""
        batch = self._batch(n)
        self._maps.send(self._stream, batch)
        maps, crops = self._maps.there.rows(0, batch), self._crops.rows(0, batch)
        self._run(cuda.warp_normalize(frame, maps, self._spec.input, self._options, crops), self._stream)

    def network(self, n: int) -> None:
        """Run the network on the crops."""
        self._context(self._batch(n)).enqueue(self._stream)

    def decode(self, n: int) -> None:
        """Decode the outputs to joints and copy them to the host."""
        self._affines.send(self._stream, n)
        plain = self._decoded(0, n)
        flipped = (self._decoded(n, 2 * n), self._order.there) if self._flip else None
        affines, joints = self._affines.there.rows(0, n), self._joints.there.rows(0, n)
        self._run(self._spec.codec.device_decoder(plain, flipped, affines, joints), self._stream)
        self._joints.fetch(self._stream, n)

    def finish(self) -> None:
        """Wait for the stream."""
        self._driver.finish(self._stream)

    def upload(self, image: Array) -> DeviceArray:
        """Upload a frame. The returned array holds it as soon as the stream has finished."""
        frame = self._frame_for(image)
        frame.send(self._stream)
        return frame.there

    def replay_network(self, n: int) -> None:
        """Run the network alone on the present crops, as a CUDA graph where `begin` uses graphs."""
        if self.no_graphs:
            return self.network(n)
        if self._network_graph is not None and self._network_graph[0] != n:
            self._driver.drop_graph(self._network_graph[1])
            self._network_graph = None
        if self._network_graph is None and not self._capture_network(n):
            return self.network(n)
        assert self._network_graph is not None
        self._driver.replay(self._network_graph[1], self._stream)

    def _capture_network(self, n: int) -> bool:
        context = self._context(self._batch(n))
        if not context.capturable(self._stream):
            return False
        try:
            self._network_graph = (n, self._driver.capture(self._stream, lambda: self.network(n)))
        except EngineError:
            context.forget()
            return False
        return True

    def close(self) -> None:
        """Wait for unfinished work and release the contexts of the network; the owner of the driver frees the rest."""
        try:
            self._driver.finish(self._stream)
        finally:
            self._contexts.clear()

    def _drop_graphs(self) -> None:
        self._driver.finish(self._stream)
        for graph in self._graphs.values():
            self._driver.drop_graph(graph)
        self._graphs.clear()
        self._ran.clear()

    def _batch(self, n: int) -> int:
        return max(self._session.smallest, 2 * n if self._flip else n)

    def _context(self, batch: int) -> DeviceContext:
        """Return the context of a batch size, bound to the buffers. Contexts run in turn and share the scratch."""
        if batch not in self._contexts:
            context = self._session.make_context(self._scratch)
            context.set_batch(batch)
            context.bind(self._spec.input.name, self._crops.address)
            for name, array in self._outputs.items():
                context.bind(name, array.address)
            self._contexts[batch] = context
        return self._contexts[batch]

    def _make_outputs(self, places: int) -> dict[str, DeviceArray]:
        context = self._session.make_context(self._scratch)
        context.set_batch(places)
        shapes = {name: context.shape(name) for name in self._session.outputs}
        return {name: self._driver.empty(shape, self._session.dtype(name)) for name, shape in shapes.items()}

    def _decoded(self, start: int, stop: int) -> list[DeviceArray]:
        rows: Mapping[str, DeviceArray] = {name: out.rows(start, stop) for name, out in self._outputs.items()}
        return outputs_of(self._spec, rows, stop - start)  # type: ignore[arg-type, return-value]

    def _map_size(self) -> tuple[int, int]:
        shape = self._outputs[self._spec.outputs[0]].shape
        return shape[-2], shape[-1]


def mirror_columns(maps: Array, width: int, out: Array) -> None:
    """Mirror the fixed-point maps of crops, [n, 6], exactly: column c becomes column width - 1 - c."""
    out[:] = maps
    out[:, (0, 3)] = -maps[:, (0, 3)]
    out[:, (2, 5)] += maps[:, (0, 3)] * np.uint64(width - 1)
