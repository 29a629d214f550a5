"""Fine-tuning of a small network, whole: the agreement grows, runs resume, and the result is what was measured."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import edgepose.training.quantized.tune as module
from edgepose.api.quantized import QuantizedOptions, QuantizedResult, tune_quantized
from edgepose.api.train import TrainingOptions, train
from edgepose.artifacts.scales import check_fresh, read_scales, write_scales
from edgepose.artifacts.spec import ModelSpec, embed_spec, embedded_spec
from edgepose.backends.onnxruntime import make_plain_runner, make_runner
from edgepose.datasets.feeds import CalibrationFeed, crop_feed
from edgepose.datasets.open import open_data
from edgepose.datasets.targets import joints_in
from edgepose.errors import UsageError
from edgepose.metrics.lengths import torso_px
from edgepose.metrics.pck import hits
from edgepose.quantize import calibrate, quantize
from edgepose.quantize.source import read_float_graph
from edgepose.training.quantized.people import divided_by_image
from edgepose.training.recipe import read_recipe

PEOPLE = "synthetic:48"
OPTIONS = QuantizedOptions(epochs=2, batch=8, lr=1e-3, scale_lr=1e-2)


@pytest.fixture
def scales(nets: ModuleType, tmp_path: Path) -> Path:
    """The scales.json beside the fp32.onnx of a small network, and too small by half, so that there is a loss."""
    model = nets.pose_net()
    spec = nets.make_spec(skeleton={"name": "five", "joints": [*open_data(PEOPLE).skeleton.joints[:5]]})
    embed_spec(model, spec)
    path = tmp_path / "engines" / "fp32.onnx"
    path.parent.mkdir()
    onnx.save(model, path)
    found = calibrate(path, CalibrationFeed(open_data(PEOPLE), spec, limit=32), spec, make_runner=make_runner)
    clipped = {name: replace(item, scale=item.scale / 2) for name, item in found.tensors.items()}
    write_scales(path.parent / "scales.json", replace(found, tensors=clipped))
    return path.parent / "scales.json"


def tuned(scales: Path, out: Path, **more: object) -> QuantizedResult:
    return tune_quantized(scales, data=[PEOPLE], out=out, options=OPTIONS, workers=0, threads=1, **more)  # type: ignore[arg-type]


def pck(outputs: list[np.ndarray], spec: ModelSpec) -> float:
    """PCK@0.2 of heatmaps of all rendered people, against their labels."""
    data, found, truth, labels = open_data(PEOPLE), [], [], []
    for batch, maps in zip(crop_feed(data, spec, batch=8), outputs, strict=True):
        found.append(spec.codec.decode([maps], None, batch.inverse, spec)[..., :2])
        for sample in batch.samples:
            xy, labeled = joints_in(sample, spec.skeleton, data.skeleton)
            truth.append(xy)
            labels.append(labeled)
    whole = [joints_in(sample, data.skeleton, data.skeleton) for sample in (data[i] for i in range(len(data)))]
    torsos = torso_px(*(np.stack(part) for part in zip(*whole, strict=True)), data.skeleton)
    return float(np.nanmean(hits(np.concatenate(found), np.stack(truth), np.stack(labels), torsos, 0.2)))


def test_the_outputs_agree_more_and_the_exported_graph_has_the_same_pck(scales: Path, tmp_path: Path) -> None:
    result = tuned(scales, tmp_path / "out")
    assert result.after < 0.8 * result.before
    assert result.describe().endswith(f"edgepose build {result.best} --scales {result.scales} --precision int8")
    with result.log.open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]

    from edgepose.training.quantized.start import read_start

    learned, spec = read_scales(result.scales), embedded_spec(onnx.load(result.best), "test")
    model = read_float_graph(result.best, spec)
    runner = make_plain_runner(quantize(model, learned, spec), ("heatmaps",))
    network = read_start(result.best, learned).student()
    crops = [batch.crops for batch in crop_feed(open_data(PEOPLE), spec, batch=8)]
    exported = [runner.run(batch)["heatmaps"] for batch in crops]
    with torch.no_grad():
        faked = [network(torch.from_numpy(batch)).numpy() for batch in crops]
    assert abs(pck(faked, spec) - pck(exported, spec)) <= 0.0005


def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    scales: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tuned(scales, tmp_path / "whole")

    class Stop(module.StopRequest):
        steps = 0

        @property
        def asked(self) -> bool:
            Stop.steps += 1
            return Stop.steps == 7

        @asked.setter
        def asked(self, value: bool) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(module, "StopRequest", Stop)
        with pytest.raises(KeyboardInterrupt):
            tuned(scales, tmp_path / "parts")
    with pytest.raises(UsageError, match=r"last\.pt exists; pass --resume"):
        tuned(scales, tmp_path / "parts")
    with pytest.raises(UsageError, match=r"is of another run \(lr\)"):
        other = replace(OPTIONS, lr=1.0)
        tune_quantized(scales, data=[PEOPLE], out=tmp_path / "parts", options=other, resume=True, workers=0)
    parts = tuned(scales, tmp_path / "parts", resume=True)
    assert parts.best.read_bytes() == whole.best.read_bytes()
    assert parts.after == whole.after


def test_the_verb_trains_by_a_recipe_or_fine_tunes(scales: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name a recipe"):
        train(None, data=[PEOPLE], out=tmp_path / "out")
    with pytest.raises(UsageError, match="are in the recipe"):
        train("lite-128", data=[PEOPLE], out=tmp_path / "out", quantized=QuantizedOptions(epochs=2))
    with pytest.raises(UsageError, match=r"the recipe of .* has another skeleton"):
        given = replace(OPTIONS, quantized=scales)
        train("lite-128", data=[PEOPLE], out=tmp_path / "out", options=TrainingOptions(workers=0), quantized=given)
    with pytest.raises(UsageError, match="give the float ONNX file"):
        scales.with_name("fp32.onnx").rename(tmp_path / "moved.onnx")
        tuned(scales, tmp_path / "out")
    noted: list[str] = []
    options = TrainingOptions(start=tmp_path / "moved.onnx", workers=0, threads=1)
    given = replace(OPTIONS, quantized=scales, epochs=1)
    result = train(None, data=[PEOPLE], out=tmp_path / "out", options=options, quantized=given, note=noted.append)
    assert isinstance(result, QuantizedResult) and noted == [result.describe()]
    check_fresh(
        read_scales(result.scales), read_scales(result.scales).onnx_sha256, embedded_spec(onnx.load(result.best), "x")
    )


@pytest.mark.parametrize("loss", ["mse", "l2"])
def test_a_recipe_gives_augmentation_and_the_loss_on_labels(nets: ModuleType, tmp_path: Path, loss: str) -> None:
    codec, net = "heatmap" if loss == "mse" else "regression", nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 8, 3, stride=2)], "relu")
    x = net.op("Relu", [net.conv(x, "middle", 8, 14, 3)], "relu2")
    x = net.conv(x, "maps", 14, 14)
    if loss == "l2":
        flat = net.op("Reshape", [x, net.constant("shape", np.array([0, 14, -1]))], "flat")
        x = net.op("MatMul", [flat, net.weights("out.w", 192, 2)], "out")
    text = f'model = "tiny"\nsizes = [[32, 24]]\ncodec = "{codec}"\nloss = "{loss}"\n'
    (tmp_path / "recipe.toml").write_text(text)
    spec = replace(read_recipe(str(tmp_path / "recipe.toml")).spec(), outputs=(x,))
    model = net.model(output=x)
    embed_spec(model, spec)
    onnx.save(model, tmp_path / "fp32.onnx")
    feed = CalibrationFeed(open_data(PEOPLE), spec, limit=32)
    write_scales(tmp_path / "scales.json", calibrate(tmp_path / "fp32.onnx", feed, spec, make_runner=make_runner))
    noted: list[str] = []
    options = replace(OPTIONS, task=1.0, lr=1e-2, epochs=3)  # the labels alone
    more: dict[str, Any] = {"recipe": tmp_path / "recipe.toml", "note": noted.append, "workers": 0, "threads": 1}
    result = tune_quantized(tmp_path / "scales.json", data=[PEOPLE], out=tmp_path / "out", options=options, **more)
    with result.log.open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)][1:]
    assert losses[2] < 0.8 * losses[0] and not noted


def test_too_few_people_are_refused(scales: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="6 people to train net on and 0 to choose the best step are too few"):
        tune_quantized(scales, data=["synthetic:6"], out=tmp_path / "out", options=OPTIONS, workers=0)


def test_several_processes_are_refused(scales: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="runs in one process; start it without torchrun"):
        tune_quantized(scales, data=["figures:8"], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_training_and_validation_share_no_image() -> None:
    train_part, held = divided_by_image([open_data(PEOPLE)])
    images = [{sample.image_id for part in parts for sample in part.samples} for parts in (train_part, held)]
    assert not images[0] & images[1] and len(images[1]) == 6
