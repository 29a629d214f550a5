"""The driver layer on a GPU, or on the stand-in of test_stand_in.py."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgepose.backends.cuda import Driver, open_driver
from edgepose.errors import EngineError

pytestmark = pytest.mark.gpu


def there_and_back(driver: Driver, seed: int = 0) -> None:
    values = np.random.default_rng(seed).normal(size=(64, 1000)).astype(np.float32)
    stream, block = driver.make_stream(), driver.make_block(values.shape, values.dtype)
    block.host[:] = values
    block.send(stream)
    driver.finish(stream)
    if not driver.integrated:
        block.host[:] = 0
    block.fetch(stream)
    driver.finish(stream)
    np.testing.assert_array_equal(block.host, values)
    block.free()
    driver.drop_stream(stream)


def test_memory(driver: Driver) -> None:
    there_and_back(driver)
    free, total = driver.memory_left()
    assert 0 < free <= total


def test_a_graph(driver: Driver) -> None:
    stream, block = driver.make_stream(), driver.make_block((4,), np.int32)
    graph = driver.capture(stream, lambda: (block.send(stream), block.fetch(stream))[0])
    block.host[:] = 7
    driver.replay(graph, stream)
    driver.finish(stream)
    assert (block.host == 7).all()


def test_a_capture_that_fails_leaves_the_stream(driver: Driver) -> None:
    def fails() -> None:
        raise KeyboardInterrupt

    stream = driver.make_stream()
    with pytest.raises(KeyboardInterrupt):
        driver.capture(stream, fails)
    driver.finish(stream)


def test_copies_within_the_device(driver: Driver) -> None:
    stream, block = driver.make_stream(), driver.make_block((5,), np.int32)
    between = driver.allocate(20)
    block.host[:] = 7
    block.send(stream)
    driver.copy(between, block.there.address, 20, stream)
    driver.finish(stream)
    block.host[:] = 0
    block.send(stream)
    driver.copy(block.there.address, between, 20, stream)
    block.fetch(stream)
    driver.finish(stream)
    assert (block.host == 7).all()


def test_refuses(driver: Driver) -> None:
    with pytest.raises(EngineError, match="memory ran out"):
        driver.allocate(1 << 60)


def test_events(driver: Driver) -> None:
    first, second = driver.make_stream(), driver.make_stream()
    begin, end = driver.make_event(), driver.make_event()
    driver.record(begin, first)
    driver.follow(second, begin)
    driver.record(end, second)
    driver.finish_event(end)
    assert driver.elapsed_ms(begin, end) >= 0


def test_threads_and_several_drivers(driver: Driver) -> None:
    with ThreadPoolExecutor(4) as pool, open_driver() as other:
        for done in [pool.submit(there_and_back, one, i) for i in range(8) for one in (driver, other)]:
            done.result()
        pool.submit(driver.close).result()
        there_and_back(other)


def test_torch_keeps_working(driver: Driver) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch has no CUDA here")
    before = torch.arange(8, device="cuda").sum()
    there_and_back(driver)
    driver.close()
    assert (before + torch.arange(8, device="cuda").sum()).item() == 56
