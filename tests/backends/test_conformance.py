"""What every registered backend must do. A new line in `BACKENDS` is tested here without a change to this file.

A backend whose library cannot be used on this machine is skipped with its reason. TensorRT, which needs a GPU, is
also tested on the double of its bindings, and the suite itself is tested with the toy backend.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import pytest
import toy_backend
from click.testing import CliRunner
from int8_arithmetic import MOST, Rounding

from edgepose._options import given_values, words_of
from edgepose.artifacts.manifest import Manifest, read_manifest
from edgepose.artifacts.spec import ModelSpec, embed_spec
from edgepose.backends import BACKENDS, about, choose, extras, load, packages
from edgepose.backends.choices import declared_by, engine_options, options_for, readers, refuse_unread
from edgepose.backends.declaration import BuildOptions, Declaration
from edgepose.backends.engine import build_engine, open_engine
from edgepose.backends.session import Backend, Built, OpenOptions, Session
from edgepose.cli.flags import flags_of, take
from edgepose.errors import BuildError, EngineError, UsageError

MakeTiny = Callable[..., onnx.ModelProto]
PRECISIONS = {"fp32", "fp16", "bf16", "int8"}
NAMES = tuple(BACKENDS)  # before the toy is among them
CASES = (*NAMES, "toy", "tensorrt on a double")
OPSET_OF_DOUBLE = 19  # the first whose Q/DQ nodes ONNX's evaluator, which runs the double's engines, implements


@dataclass(frozen=True)
class Case:
    """A backend that can be used here, and graphs to build."""

    name: str
    graphs: dict[str, Path]
    spec: ModelSpec

    @property
    def module(self) -> Backend:
        return load(self.name)

    def options(self, precision: str = "fp32", **given: Any) -> BuildOptions:
        return options_for(self.name, precision, next(iter(self.graphs.values())).parent, given)

    def build(self, folder: Path, precision: str = "fp32", **given: Any) -> Manifest:
        options = self.options(precision, **given)
        graph = self.graphs[self.module.graph_for(options)]
        return build_engine(graph, folder, self.spec, options, self.name, "edgepose build tiny")

    def open(self, folder: Path, precision: str = "fp32") -> Session:
        # the graph of a case has float32 parts
        parts = {"float_parts": "fp32"} if precision == "int8" and "float_parts" in declared_by(self.name) else {}
        self.build(folder, precision, **parts)
        return open_engine(folder, OpenOptions(threads=1))[0]


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy backend is registered for each test here."""
    monkeypatch.setitem(BACKENDS, "toy", toy_backend.__name__)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path, make_tiny: MakeTiny, spec: ModelSpec) -> Case:
    """A backend that can build here."""
    name = request.param.partition(" ")[0]
    if name != request.param:
        request.getfixturevalue("installed")(driver=True)
    problem = load(name).problem()
    if problem is not None:
        pytest.skip(problem)
    graphs = {}
    for precision in ("fp32", "int8"):
        model = make_tiny(quantized=precision == "int8")
        if name != request.param:
            model.opset_import[0].version = OPSET_OF_DOUBLE
        embed_spec(model, spec)
        graphs[precision] = tmp_path / f"{precision}.onnx"
        onnx.save(model, graphs[precision])
    return Case(name, graphs, spec)


@pytest.fixture
def runnable(case: Case) -> Case:
    """A backend that can build and open here."""
    problem = case.module.cannot_open()
    if problem is not None:
        pytest.skip(problem)
    return case


def reference(path: Path, images: np.ndarray) -> np.ndarray:
    """What ONNX Runtime computes with optimizations off."""
    ort = pytest.importorskip("onnxruntime")
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": images})[0])


# Declarations: nothing here needs the backend's library.


@pytest.mark.parametrize("name", (*NAMES, "toy"))
def test_the_declaration_is_complete(name: str) -> None:
    found = about(name)
    assert isinstance(found, Declaration)
    assert found.imports and found.packages and found.extra
    assert dict.fromkeys(found.imports, found.extra).items() <= extras().items()
    assert found.packages in packages().values()
    assert issubclass(found.options, BuildOptions)
    assert all(field.kw_only for field in dataclasses.fields(found.options))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.options().precision = "int8"  # type: ignore[misc]


@pytest.mark.parametrize("name", (*NAMES, "toy"))
def test_the_module_has_the_functions_of_the_protocol(name: str) -> None:
    wanted = [part for part in vars(Backend) if not part.startswith("_")]
    assert len(wanted) == 8
    assert all(callable(getattr(load(name), part)) for part in wanted)


def test_declarations_cost_neither_numpy_nor_a_library() -> None:
    code = (
        "import sys\n"
        "from edgepose.backends.choices import engine_options\n"
        "engine_options()\n"
        "assert not {'numpy', 'onnx', 'openvino', 'onnxruntime', 'tensorrt'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", (*NAMES, "toy"))
def test_every_declared_option_is_parsed_from_its_flag(name: str, tmp_path: Path) -> None:
    taken: list[Any] = []

    @click.command()
    @flags_of(engine_options())
    def command(**given: Any) -> None:
        taken.append(given_values(take(engine_options(), given)))

    for option, item in declared_by(name).items():
        assert item.metadata["flag"].startswith("--") and item.metadata["help"]
        words = [item.metadata["flag"], *_example(item)]
        done = CliRunner().invoke(command, words)
        assert done.exit_code == 0, done.output
        assert list(taken[-1]) == [option]
        assert words_of(engine_options(), taken[-1]) == words
        options = options_for(name, "int8", tmp_path, taken[-1])
        assert isinstance(options, about(name).options)
        assert getattr(options, option) is not None
        assert name in readers(option)
        refuse_unread(taken[-1], [name])
    CliRunner().invoke(command, [])
    assert taken[-1] == {}


def _example(item: Any) -> list[str]:
    """Words that give an option a value."""
    about = item.metadata
    if about.get("kind") is bool:
        return []
    if "choices" in about:
        return [str(about["choices"][-1])]
    if item.default not in (None, ()):
        return [",".join(map(str, item.default))]
    return [str(about.get("min", 1))]


def test_a_shared_option_is_one_flag_that_reaches_every_reader(tmp_path: Path) -> None:
    names = [item.name for item in dataclasses.fields(engine_options())]
    assert len(names) == len(set(names))
    assert readers("batch") == ("tensorrt", "tensorrt_rtx")
    for name in readers("batch"):
        assert getattr(options_for(name, "fp32", tmp_path, {"batch": (1, 2, 4)}), "batch") == (1, 2, 4)  # noqa: B009


def test_an_option_that_no_chosen_backend_reads_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--batch is for --backend tensorrt or tensorrt_rtx, which is not built here"):
        refuse_unread({"batch": (1, 2, 4)}, ["openvino", "toy"])
    with pytest.raises(UsageError, match="--dla-core is for --backend tensorrt, "):
        refuse_unread({"dla_core": 0}, ["tensorrt_rtx"])
    with pytest.raises(UsageError, match="unknown backend option 'bacth'; did you mean 'batch'"):
        refuse_unread({"bacth": (1, 2, 4)}, ["tensorrt"])
    refuse_unread({"batch": None, "capabilities": (), "calibration_cache": False}, ["openvino"])


# Behavior.


def test_what_it_says_of_itself(case: Case) -> None:
    assert case.module.version()[0].isdigit()
    problem = case.module.cannot_open()
    assert problem is None or (problem and "\n" not in problem)
    assert choose(case.name) == case.name
    assert case.module.graph_for(case.options()) == "fp32"


def test_it_builds_into_an_empty_folder(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "payload"
    folder.mkdir()
    assert isinstance(case.module.build(case.graphs["fp32"], folder, case.options()), Built)
    assert all(path.is_file() for path in folder.iterdir()) and any(folder.iterdir())


def test_the_manifest_is_what_was_built(case: Case, tmp_path: Path) -> None:
    manifest = case.build(tmp_path / "engine")
    assert read_manifest(tmp_path / "engine") == manifest
    assert (manifest.backend, manifest.backend_version) == (case.name, case.module.version())
    assert set(manifest.payload) | {"manifest.json"} == {path.name for path in (tmp_path / "engine").iterdir()}
    assert set(manifest.layers.values()) <= PRECISIONS
    if case.module.cannot_open() is None:
        assert case.module.differs(manifest) == []


@pytest.mark.parametrize("content", [b"", b"no network"], ids=["empty", "text"])
def test_a_build_that_fails_leaves_nothing(case: Case, tmp_path: Path, content: bytes) -> None:
    for path in case.graphs.values():
        path.write_bytes(content)
    with pytest.raises(BuildError) as caught:
        case.build(tmp_path / "out" / "engine")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("count", [1, 2, 5, 11])
def test_any_batch_gives_what_the_graph_says(runnable: Case, tmp_path: Path, count: int) -> None:
    images = np.random.default_rng(2).normal(size=(count, 3, 16, 12)).astype(np.float32)
    with runnable.open(tmp_path / "engine") as session:
        assert (session.inputs, session.outputs) == (("image",), ("heatmaps",))
        found = session.run({"image": images})["heatmaps"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(runnable.graphs["fp32"], images), atol=2e-5)


def test_a_quantized_graph_is_computed_within_its_rounding(
    runnable: Case, tmp_path: Path, images: np.ndarray, make_tiny: MakeTiny
) -> None:
    with runnable.open(tmp_path / "engine", "int8") as session:
        found = session.run({"image": images})["heatmaps"]
        assert set(session.layers().values()) <= PRECISIONS
    assert max(Rounding(make_tiny(quantized=True), {"image": images}).ratios([found])) < MOST


def test_outputs_belong_to_the_caller(runnable: Case, tmp_path: Path, images: np.ndarray) -> None:
    with runnable.open(tmp_path / "engine") as session:
        first = session.run({"image": images[:1]})["heatmaps"]
        kept = first.copy()
        session.run({"image": images[1:2]})
    np.testing.assert_array_equal(first, kept)
    assert first.flags.writeable


@pytest.mark.parametrize(
    "spoil",
    [
        lambda images: {},
        lambda images: {"picture": images},
        lambda images: {"image": images[:0]},
        lambda images: {"image": images[:, :2]},
        lambda images: {"image": images.astype(np.float64)},
        lambda images: {"image": images.astype(np.float16)},
        lambda images: {"image": images.astype(np.uint8)},
    ],
    ids=["nothing", "another name", "no image", "another shape", "float64", "float16", "uint8"],
)
def test_a_wrong_feed_is_refused(
    runnable: Case, tmp_path: Path, images: np.ndarray, spoil: Callable[[np.ndarray], Any]
) -> None:
    with runnable.open(tmp_path / "engine") as session, pytest.raises(ValueError, match="expected"):
        session.run(spoil(images))


def test_a_closed_session_says_so_and_closes_twice(runnable: Case, tmp_path: Path, images: np.ndarray) -> None:
    session = runnable.open(tmp_path / "engine")
    session.close()
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.run({"image": images})
