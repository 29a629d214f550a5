"""The guard of a build: the three answers on small networks and rendered figures, and what they depend on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgepose.api import fastest, guard
from edgepose.api.build import BuildResult, build
from edgepose.api.candidates import Task
from edgepose.api.request import BuildOptions
from edgepose.artifacts.certificate import JOINTS, LABELS, NOTHING, Certificate, read_certificate
from edgepose.artifacts.manifest import read_manifest
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import read_scales, write_scales
from edgepose.artifacts.spec import CropSpec, embed_spec, embedded_spec
from edgepose.codecs.onestage import OnestageCodec
from edgepose.errors import BuildError, UsageError
from edgepose.measure.fastest import Times
from edgepose.measure.pseudo_labels import COPIES
from edgepose.quantize.search.trials import Trials

USUAL = ["pck@0.2", "pcp@0.5", "oks_ap", "pck@0.1"]
SEARCHED = {"keep": 85.0}  # the network below keeps less with all layers in int8 than is safe, so layers are searched


@pytest.fixture(scope="module", autouse=True)
def estimated() -> Iterator[None]:
    """Times of layers are estimated, since measured ones differ from build to build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgepose.backends.layer_times.can_measure", lambda backend: False)
        yield


@pytest.fixture(scope="module")
def network(nets: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four convolutions with random weights; two of them can be int8, and both move joints."""
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 8, 3, stride=2)], "r")
    y = net.op("Relu", [net.conv(net.op("Relu", [net.conv(x, "a", 8, 8, 3)], "ra"), "b", 8, 8, 3)], "rb")
    net.conv(y, "heatmaps", 8, 14)
    model = net.model()
    embed_spec(model, nets.make_spec(skeleton="lsp14"))
    path: Path = tmp_path_factory.mktemp("network") / "net.onnx"
    onnx.save(model, str(path))
    return path


def built(network: Path, out: Path, notes: list[str] | None = None, **options: Any) -> BuildResult:
    chosen = {"precisions": ("int8",), "backends": ("onnxruntime",), "calib": "synthetic:60", **options}
    return build(network, out=out, options=BuildOptions(**chosen), note=([] if notes is None else notes).append)


def files(out: Path) -> tuple[bytes, bytes]:
    return (out / "scales.json").read_bytes(), (out / "guard.json").read_bytes()


@pytest.fixture(scope="module")
def searched(network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build leaves whose layers were searched and whose answer is "unproven"."""
    out = tmp_path_factory.mktemp("searched") / "out"
    notes: list[str] = []
    result = built(network, out, notes, **SEARCHED)
    assert result.certificate is not None and result.certificate.answer == "unproven"
    assert any("unproven: 18 images seen, about" in line for line in notes)
    return out


def test_kept(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    runs: list[tuple[str, int]] = []
    run = Task._run

    def counted(self: Task, graph: Any, name: str, several: Any) -> Any:
        runs.append((name, len(several)))
        return run(self, graph, name, several)

    monkeypatch.setattr(Task, "_run", counted)
    result = built(network, tmp_path / "out", notes, keep=45.0)
    found = result.certificate
    assert found is not None and (found.answer, found.test, found.people, found.images) == ("kept", JOINTS, 18, 18)
    assert runs.count(("float network", 1 + COPIES)) == 1  # it is opened once for its own and all moved boxes
    assert len(runs) == 1 + sum(bool(one.metrics) for one in found.candidates)
    assert found.chosen is not None and list(found.candidates[found.chosen].metrics) == USUAL
    assert all(item.bound >= item.floor for item in found.candidates[found.chosen].metrics.values())
    assert any(line.startswith("int8 accuracy: kept at 95% confidence") for line in notes)
    assert read_certificate(tmp_path / "out" / "guard.json") == found
    assert read_manifest(result.engines[0]).guard["answer"] == "kept"


def kept_of(certificate: Certificate) -> list[tuple[int, list[float]]]:
    """For each tested candidate, its float layers and what it keeps of each of `USUAL`."""
    tested = (one for one in certificate.candidates if one.metrics)
    return [(one.float_layers, [one.metrics[name].retention for name in USUAL]) for one in tested]


def test_what_is_measured_is_pinned(searched: Path) -> None:
    """How the work is done may change, and what it finds may not; a joint of a person in a copy weighs 0.001."""
    found = kept_of(read_certificate(searched / "guard.json"))
    wanted = [(3, [0.98488, 1, 1, 0.98132]), (2, [1, 1, 1, 1])]
    assert [count for count, _ in found] == [count for count, _ in wanted]
    for (_, got), (_, values) in zip(found, wanted, strict=True):
        assert got == pytest.approx(values, abs=2e-3)


@pytest.mark.parametrize(("ms", "chosen"), [((1.0, 2.0), 0), ((2.0, 1.0), 1)])
def test_the_fastest_of_the_candidates_that_pass(
    network: Path, searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ms: tuple[float, ...], chosen: int
) -> None:
    """Both candidates of `searched` pass; the second has more int8 layers."""

    def time_networks(engines: Mapping[str, Path], *_: object) -> Times:
        if set(engines) != {"1", "2"}:  # the race of the precisions
            return Times(seconds={name: np.ones(20) for name in engines})
        timed.extend(len(onnx.load(str(path / "model.onnx")).graph.node) for path in engines.values())
        return Times(seconds={name: np.full(20, value) for name, value in zip(engines, ms, strict=True)})

    timed: list[int] = []
    monkeypatch.setattr(fastest, "int8_reason", lambda: None)
    monkeypatch.setattr(fastest, "time_networks", time_networks)
    notes: list[str] = []
    found = built(network, tmp_path / "out", notes, fastest=True, **SEARCHED).certificate
    usual = read_certificate(searched / "guard.json")
    assert found is not None and (usual.chosen, found.chosen) == (1, chosen)
    assert replace(found, chosen=1, key=usual.key, scales_sha256=usual.scales_sha256) == usual
    assert timed[0] < timed[1]  # more quantizers
    assert any(f"candidate {chosen + 1} is the fastest on this machine" in line for line in notes)
    kept = read_scales(tmp_path / "out" / "scales.json").keep_float
    assert (kept == read_scales(searched / "scales.json").keep_float) == (chosen == 1)


def test_unproven_still_builds(searched: Path) -> None:
    found = read_certificate(searched / "guard.json")
    assert found.chosen is not None and len(found.candidates) > 1
    assert all(item.retention >= item.floor for item in found.candidates[found.chosen].metrics.values())
    assert (searched / "onnxruntime-int8").is_dir() and (searched / "int8.onnx").is_file()


def test_what_cannot_be_kept_gives_an_fp16_engine_instead(network: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"cannot be kept.*No int8 engine is built; give more calibration") as error:
        built(network, tmp_path / "out", precisions=("fp32", "int8"), keep=100.0)
    engines = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert engines == ["onnxruntime-fp16", "onnxruntime-fp32"] and not (tmp_path / "out" / "int8.onnx").exists()
    found = read_certificate(tmp_path / "out" / "guard.json")
    assert found.answer == "cannot be kept" and found.chosen is None
    assert "points less than the 100.00% asked for" in found.reason and found.reason in str(error.value)
    assert "onnxruntime-fp16" in str(error.value) and "--keep" in str(error.value)


def test_labeled_images(network: Path, tmp_path: Path) -> None:
    options = {"guard": "synthetic:24:5", "keep_metric": ("pck@0.2:50",), "calib": "synthetic:32"}
    found = built(network, tmp_path / "out", **options).certificate
    assert found is not None and (found.test, found.people, found.images) == (LABELS, 24, 24)
    assert [list(one.metrics) for one in found.candidates if one.metrics] == [["pck@0.2"]]
    assert found.candidates[0].metrics["pck@0.2"].floor == 0.5
    assert read_scales(tmp_path / "out" / "scales.json").images == 32  # nobody is held out


def test_calibration_images_are_refused_as_a_test(network: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"32 of its images are calibration images too"):
        built(network, tmp_path / "out", calib="synthetic:32", guard="synthetic:32")


def test_a_metric_that_needs_labels(network: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pck@0\.3 can only be tested on labels"):
        built(network, tmp_path / "out", keep_metric=("pck@0.3",))


def test_metrics_to_keep() -> None:
    given = BuildOptions(keep=98.0, keep_metric=("pck@0.1", "oks_ap:97"))
    assert given.floors() == pytest.approx({"pck@0.1": 0.975, "oks_ap": 0.97})
    assert BuildOptions().floors() == pytest.approx(dict(zip(USUAL, [0.995, 0.995, 0.995, 0.99], strict=True)))
    for words, message in (
        (("pck@0.1:x",), "does not end in a percentage"),
        (("oks_pa",), "no metric that is a share"),
        (("oks_ap:101",), "does not end in a percentage"),
    ):
        with pytest.raises(UsageError, match=message):
            BuildOptions(keep_metric=words)


def test_two_builds_are_the_same(network: Path, searched: Path, tmp_path: Path) -> None:
    built(network, tmp_path / "out", **SEARCHED)
    assert files(tmp_path / "out") == files(searched)


def test_a_search_that_is_stopped_goes_on(
    network: Path, searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, alone, done = tmp_path / "out", Trials.alone, list[Any]()

    def stopping(self: Trials, *given: Any) -> float:
        if done:
            raise KeyboardInterrupt
        done.append(given)
        return alone(self, *given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trials, "alone", stopping)
        built(network, out, **SEARCHED)
    measured = set(json.loads((out / "search.json").read_text())["trials"])
    assert measured and not (out / "scales.json").exists()
    built(network, out, **SEARCHED)
    assert measured < set(json.loads((out / "search.json").read_text())["trials"])
    assert files(out) == files(searched)


def test_a_build_that_is_stopped_while_it_writes(
    network: Path, searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(guard, "write_certificate", stop)
        built(network, tmp_path / "out", **SEARCHED)
    assert not (tmp_path / "out" / "scales.json").exists()  # which would be taken as known without its answer
    built(network, tmp_path / "out", **SEARCHED)
    assert files(tmp_path / "out") == files(searched)


def copied(searched: Path, out: Path) -> Path:
    out.mkdir()
    for name in ("fp32.onnx", "scales.json", "guard.json"):
        (out / name).write_bytes((searched / name).read_bytes())
    return out


def test_the_answer_of_an_earlier_build_is_used_again(network: Path, searched: Path, tmp_path: Path) -> None:
    out, notes = copied(searched, tmp_path / "out"), list[str]()
    found = built(network, out, notes, **SEARCHED).certificate
    assert found == read_certificate(searched / "guard.json")
    assert any("tested before" in line for line in notes) and not (out / "search.json").exists()


def test_the_answer_of_another_test_is_not_used_again(
    network: Path, searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, notes = copied(searched, tmp_path / "out"), list[str]()
    monkeypatch.setitem(guard.METHODS, JOINTS, guard.METHODS[JOINTS] + 1)
    with pytest.raises(UsageError, match="--overwrite"):
        built(network, out, notes, **SEARCHED)
    assert not any("tested before" in line for line in notes)


def test_float_layers_of_an_earlier_search_do_not_bind_another(network: Path, searched: Path, tmp_path: Path) -> None:
    out = copied(searched, tmp_path / "out")
    scales = replace(read_scales(out / "scales.json"), keep_float={"/a": "search: another"})
    write_scales(out / "scales.json", scales)
    with pytest.raises(UsageError, match="--overwrite"):
        built(network, out, **SEARCHED)
    found = json.loads((out / "search.json").read_text())["trials"]
    assert found == json.loads((searched / "search.json").read_text())["trials"]


def test_given_scales_are_tested_as_they_are(network: Path, searched: Path, tmp_path: Path) -> None:
    scales = searched / "scales.json"
    found = built(
        network, tmp_path / "labels", calib=None, scales=scales, guard="synthetic:20:5", keep=50.0
    ).certificate
    assert found is not None and found.test == LABELS and len(found.candidates) == 1
    assert (tmp_path / "labels" / "scales.json").read_bytes() == scales.read_bytes()
    assert built(network, tmp_path / "known", calib=None, scales=scales).certificate == read_certificate(
        searched / "guard.json"
    )


def test_without_a_guard(network: Path, tmp_path: Path) -> None:
    result = built(network, tmp_path / "out", no_guard=True)
    assert result.certificate is None and not (tmp_path / "out" / "guard.json").exists()
    assert read_scales(tmp_path / "out" / "scales.json").images == 60  # all of them calibrate
    assert not read_scales(tmp_path / "out" / "scales.json").keep_float
    assert read_manifest(result.engines[0]).guard == {}


def test_too_few_images_to_hold_some_out(network: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    found = built(network, tmp_path / "out", notes, calib="synthetic:45").certificate
    assert found is not None and (found.answer, found.test, found.images) == ("unproven", NOTHING, 0)
    assert read_scales(tmp_path / "out" / "scales.json").images == 45
    assert any("unproven: none of the calibration images can be held out; give at least 46" in line for line in notes)


def test_float_layers_of_the_contract_are_part_of_every_candidate(network: Path, tmp_path: Path) -> None:
    model = onnx.load(str(network))
    spec = embedded_spec(model, "net.onnx")
    embed_spec(model, replace(spec, quantize=QuantizeOptions(keep_float=("/a",))))
    onnx.save(model, str(tmp_path / "net.onnx"))
    result = built(tmp_path / "net.onnx", tmp_path / "out", keep=60.0)
    assert "/a" in result.kept_float and result.certificate is not None
    assert all(one.float_layers >= 3 for one in result.certificate.candidates)


@pytest.fixture(scope="module")
def one_stage(nets: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with random weights whose cells are people: rows of a box, a score and 14 joints."""
    columns, cells = 5 + 3 * 14, (nets.SIZE[0] // 8) * (nets.SIZE[1] // 8)
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 8, 3, stride=2)], "r")
    x = net.op("Relu", [net.conv(x, "a", 8, 16, 3, stride=2)], "ra")
    x = net.op("Relu", [net.conv(x, "b", 16, 16, 3, stride=2)], "rb")
    maps = net.op("Sigmoid", [net.conv(x, "head", 16, columns)], "maps")
    flat = net.op("Reshape", [maps, net.constant("shape", np.array([-1, columns, cells]))], "flat")
    scale = np.array([80, 80, 80, 80, 1, *[80, 80, 1] * 14], np.float32)
    net.op("Mul", [net.op("Transpose", [flat], "rows", perm=[0, 2, 1]), net.constant("scale", scale)], "people")
    model = net.model("people")
    codec = OnestageCodec(score_threshold=0.5, max_people=6)
    spec = replace(nets.make_spec(skeleton="lsp14"), codec=codec, outputs=("people",), crop=CropSpec(padding=1.0))
    embed_spec(model, spec)
    path: Path = tmp_path_factory.mktemp("one_stage") / "net.onnx"
    onnx.save(model, str(path))
    return path


def test_people_that_a_network_finds_by_itself_are_those_of_moved_images(one_stage: Path, tmp_path: Path) -> None:
    """The held out images are run whole, and both networks are compared with the people found in moved images."""
    found = built(one_stage, tmp_path / "out", keep=60.0).certificate
    assert found is not None and (found.answer, found.test, found.images) == ("kept", JOINTS, 18)
    assert found.people > 18  # several in an image
    assert read_scales(tmp_path / "out" / "scales.json").images == 42
    assert found.chosen is not None and list(found.candidates[found.chosen].metrics) == USUAL
    assert kept_of(found)[0] == (2, pytest.approx([0.98895, 1, 0.98863, 0.98538], abs=2e-3))
