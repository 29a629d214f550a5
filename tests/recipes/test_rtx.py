"""Every network that ships or has a recipe compiles with the real TensorRT-RTX, in every precision.

It is the compiler of TensorRT 10 and 11, strongly typed, and needs no GPU: what it rejects fails here with its
message. Dynamic batch 1, 4, 8; portable, and for three compute capabilities in one engine.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tensorrt_rtx_bindings")
rtx = pytest.importorskip("rtx")  # benchmarks/rtx.py

# the zoo's network, windows cut inside the graph, two outputs; the others, such as an unrolled loop, with -m slow
FAST = ("lite", "deeppose-cascade-small", "openpose-small")
NETWORKS = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in rtx.networks()]


@pytest.fixture(scope="module", params=NETWORKS)
def graphs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Path]]:
    return request.param, rtx.write_network(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("target", rtx.TARGETS)
def test_it_compiles_in_every_precision(graphs: tuple[str, dict[str, Path]], tmp_path: Path, target: str) -> None:
    name, paths = graphs
    bytes_of, bare = {}, {}
    for precision, engine, manifest in rtx.compile_network(paths, tmp_path, rtx.PRECISIONS, target):
        ((_, shapes),) = manifest.shapes.items()
        assert [shape[0] for shape in shapes] == [1, 4, 8]
        assert manifest.build["typing"] == "strong"
        assert manifest.build["capabilities"] == target.replace("+", " ")
        bytes_of[precision] = (engine / "model.plan").stat().st_size
        bare[precision] = bytes_of[precision] - sum(rtx.kernel_sources(engine / "model.plan"))
    assert set(bytes_of) == set(rtx.PRECISIONS)
    if name.endswith("-small"):
        return  # of little weight: what a plan holds beside its weights decides
    assert bytes_of["fp16"] < 0.56 * bytes_of["fp32"]
    for precision in ("int8", "int8-fp16"):
        assert bare[precision] < 0.33 * bare["fp32"]  # int8 weights, the stem and the head beside them
        if name.startswith("simplebaseline-r"):
            assert bytes_of[precision] < 0.35 * bytes_of["fp32"]


def test_the_committed_table_has_every_network() -> None:
    from records import read_csv

    measured = {line["model"] for line in read_csv("rtx.csv")}
    assert measured == set(rtx.networks()), "run: python benchmarks/rtx.py --only NAME, and make results"
