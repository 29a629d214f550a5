"""Compile every network of the zoo and of the recipes with TensorRT-RTX, and record engine sizes and build times.

    python benchmarks/rtx.py [--only simplebaseline-r18]

No GPU is needed or used. For each network the script builds a portable engine and an engine for SM86, SM89 and SM120,
each for batches of 1 to 8. Networks of recipes have random weights and made-up quantization scales; neither the size
nor the compilation depends on them. The tests compile the same graphs with the same functions.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from records import read_csv, write_csv, write_machine

from edgepose._files import sha256_file, sha256_json
from edgepose.api.graphs import write_graphs
from edgepose.api.request import BuildRequest
from edgepose.artifacts.manifest import Manifest
from edgepose.artifacts.scales import Scales, TensorRange, write_scales
from edgepose.artifacts.spec import ModelSpec, embed_spec, embedded_spec
from edgepose.backends.declared.tensorrt_rtx import TensorRtRtxOptions
from edgepose.backends.engine import build_engine
from edgepose.graph.lookup import load_onnx
from edgepose.quantize.placement import observed_tensors
from edgepose.zoo import ZOO

PRECISIONS = ("fp32", "fp16", "int8", "int8-fp16")
TARGETS: dict[str, tuple[str, ...]] = {"portable": (), "SM86+SM89+SM120": ("SM86", "SM89", "SM120")}
BATCH = (1, 4, 8)
COLUMNS = ["model", "precision", "target", "onnx_bytes", "engine_bytes", "kernels", "source_bytes", "build_seconds"]
# The CUDA source of a kernel in a plan, up to a zero byte. TensorRT-RTX 1.7 compiles it on the machine with the GPU.
SOURCE = rb"#undef __HAS_FP8[^\0]*"


def networks() -> list[str]:
    """Return the names of the zoo and of the recipes that are not in the zoo."""
    from edgepose.training.recipe import recipe_names

    return [*ZOO, *(name for name in recipe_names() if name not in ZOO)]


def write_network(name: str, folder: Path) -> dict[str, Path]:
    """Write the graph of each precision, for a zoo name or for the network of a recipe with random weights."""
    if name in ZOO:
        request = BuildRequest(model=name, out=folder, precisions=PRECISIONS)
    else:
        fp32 = _export(name, folder / "fp32.onnx")
        scales = folder / "made-up.json"
        _write_scales(fp32, scales)
        request = BuildRequest(model=str(fp32), out=folder, precisions=PRECISIONS, scales=scales)
    written = write_graphs(request)
    for error in written.failed.values():
        raise error
    return dict(written.paths)


def _export(name: str, path: Path) -> Path:
    import torch

    from edgepose.export.onnx import to_onnx
    from edgepose.training.checkpoint import create_for
    from edgepose.training.recipe import read_recipe

    torch.manual_seed(0)
    recipe = read_recipe(name)
    spec = recipe.spec()
    model = to_onnx(create_for(recipe.model, spec), spec)
    embed_spec(model, spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def _write_scales(fp32: Path, path: Path) -> None:
    """Write made-up quantization scales, with which a graph can be compiled but gives no useful results."""
    model = load_onnx(fp32)
    spec = embedded_spec(model, str(fp32))
    known = TensorRange(min=-1.0, max=6.0, scale=6 / 127)
    scales = Scales(
        onnx_sha256=sha256_file(fp32),
        preprocessing_sha256=sha256_json(spec.preprocessing()),
        image_list_sha256="0" * 64,
        method="minmax",
        images=32,
        tensors=dict.fromkeys(observed_tensors(model), known),
    )
    write_scales(path, scales)


def compile_network(
    graphs: dict[str, Path], folder: Path, precisions: tuple[str, ...], target: str
) -> Iterator[tuple[str, Path, Manifest]]:
    """Yield (precision, engine folder, manifest) of each engine. BuildError has the message of a rejected graph."""
    spec: ModelSpec = embedded_spec(load_onnx(graphs["fp32"]), str(graphs["fp32"]))
    for precision in precisions:
        engine = folder / f"{precision}-{target}"
        parts = "fp32" if precision == "int8" else "fp16"  # the graph of this name is compiled, see docs/results
        options = TensorRtRtxOptions(precision=precision, batch=BATCH, capabilities=TARGETS[target], float_parts=parts)
        manifest = build_engine(graphs[precision], engine, spec, options, "tensorrt_rtx", "python benchmarks/rtx.py")
        yield precision, engine, manifest


def kernel_sources(plan: Path) -> list[int]:
    """Return the bytes of each kernel source in a plan. Every fused elementwise kernel has one, with its preamble."""
    return [len(text) for text in re.findall(SOURCE, plan.read_bytes())]


def measure(name: str, folder: Path) -> list[list[object]]:
    """Return the CSV rows of one network."""
    graphs = write_network(name, folder)
    rows: list[list[object]] = []
    for target in TARGETS:
        for precision, engine, manifest in compile_network(graphs, folder, PRECISIONS, target):
            plan, graph = engine / "model.plan", graphs[precision]
            sources = kernel_sources(plan)
            sizes = [graph.stat().st_size, plan.stat().st_size, len(sources), sum(sources)]
            rows.append([name, precision, target, *sizes, f"{manifest.build_seconds:.2f}"])
            print(*rows[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="measure only this network and keep the other rows")
    given = parser.parse_args()
    names = networks()
    kept = [] if given.only is None else [[*line.values()] for line in read_csv("rtx.csv")]
    rows = {name: [line for line in kept if line[0] == name] for name in names}
    for name in given.only or names:
        print(name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = measure(name, Path(folder))
    write_csv("rtx.csv", COLUMNS, [line for lines in rows.values() for line in lines])
    write_machine("rtx")


if __name__ == "__main__":
    main()
