"""Recipes: what a file may say, and what every recipe that ships says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgepose.artifacts.spec import spec_from_dict
from edgepose.errors import EdgeposeError, SpecError, UsageError
from edgepose.training.recipe import Recipe, read_recipe, recipe_from_dict, recipe_names

PAPER = tuple(f"simplebaseline-r{depth}" for depth in (18, 34, 50, 101, 152))


def read(**table: Any) -> Recipe:
    return recipe_from_dict({"model": "simplebaseline-r18", **table}, "mine.toml")


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_parses(name: str) -> None:
    recipe = read_recipe(name)
    pytest.importorskip("torch")
    from edgepose.models import DETECTORS, SCENE_MODELS, names

    assert recipe.model in names()
    assert (recipe.codec == "paf") == (recipe.model in SCENE_MODELS)
    assert (recipe.codec == "onestage") == (recipe.model in DETECTORS)
    assert len(recipe.stages()) == sum(recipe.epochs)
    spec = recipe.spec()
    assert spec_from_dict(spec.to_json(), name) == spec


@pytest.mark.parametrize("name", PAPER)
def test_recipes_of_the_paper(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.model == name
    assert recipe.sizes == ((256, 192),)
    assert recipe.sigma == 2.0
    assert recipe.amp == "bf16"
    assert not recipe.imagenet  # no package carries ImageNet weights of a ResNet


def test_shipped_recipes_begin_with_an_example_command() -> None:
    from edgepose.training.recipe import FOLDER

    for name in recipe_names():
        text = (FOLDER / f"{name}.toml").read_text()
        assert text.startswith("# ")
        assert f"# edgepose train {name} " in text


def test_defaults_and_types() -> None:
    recipe = read(lr=1, mean=[127, 127, 127.5], sizes=[[128, 96], [256, 192]], epochs=[2, 1], batch=[8, 4])
    assert recipe.lr == 1.0 and isinstance(recipe.lr, float)
    assert recipe.sizes == ((128, 96), (256, 192))
    assert recipe.spec().input.size == (256, 192)
    assert recipe.spec().input.mean == (127.0, 127.0, 127.5)


def test_stages_scale_sigma_with_the_root_of_the_resolution() -> None:
    recipe = read(sizes=[[64, 64], [256, 256]], epochs=[2, 1], batch=[8, 4], sigma=2.0)
    assert recipe.stages() == [((64, 64), 8, 1.0), ((64, 64), 8, 1.0), ((256, 256), 4, 2.0)]


def test_augmentation_comes_from_the_recipe() -> None:
    assert read(rotation_deg=7.0).augment().rotation_deg == 7.0


def test_the_teacher_comes_from_the_recipe() -> None:
    recipe = read(teacher=["a.json", "b.json"], teacher_agree=0.1, teacher_floor=0.2, teacher_share=1.0, upright=0.3)
    assert recipe.teacher == ("a.json", "b.json")
    assert (recipe.blend().agree, recipe.blend().floor, recipe.blend().share) == (0.1, 0.2, 1.0)
    assert (recipe.augment().upright, recipe.augment().quarter_turn) == (0.3, 0.0)


def test_a_network_as_teacher_needs_heatmaps_or_boxes() -> None:
    assert read(teacher_network="t.onnx").teacher_files() == [Path("t.onnx")]
    with pytest.raises(UsageError, match="teacher_network needs codec = 'heatmap' or 'onestage', not 'regression'"):
        read(teacher_network="t.onnx", codec="regression", loss="l2")


def test_files_of_the_command_line_replace_those_of_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from edgepose.api.train import TrainingOptions, train

    given: list[Recipe] = []

    def note(recipe: Recipe, *_: Any) -> Path:
        given.append(recipe)
        return tmp_path / "best.pt"

    monkeypatch.setattr("edgepose.training.loop.train", note)
    path = tmp_path / "mine.toml"
    path.write_text('model = "simplebaseline-lite"\nteacher = ["recipe.json"]\n')
    for teacher in ((), ("a.json", "b.json")):
        train(path, data=["synthetic:2"], out=tmp_path, options=TrainingOptions(teacher=teacher))
    assert [recipe.teacher for recipe in given] == [("recipe.json",), ("a.json", "b.json")]


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"mine\.toml: unknown key 'weight_decai'; did you mean 'weight_decay'"):
        read(weight_decai=0.1)


def test_unknown_skeleton_names_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"mine\.toml: unknown skeleton 'lsp41'; did you mean 'lsp14'\?"):
        read(skeleton="lsp41")


def test_a_model_is_needed() -> None:
    with pytest.raises(UsageError, match="the recipe has no model"):
        recipe_from_dict({}, "mine.toml")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", 3),
        ("imagenet", 1),
        ("imagenet", "yes"),
        ("teacher", "a.json"),
        ("teacher", [1]),
        ("freeze", 1.0),
        ("freeze", True),
        ("seed", "1"),
        ("lr", "1e-3"),
        ("lr", True),
        ("epochs", 10),
        ("epochs", []),
        ("epochs", [0]),
        ("epochs", [1.5]),
        ("epochs", [True]),
        ("epochs", [[1]]),
        ("batch", [-4]),
        ("sizes", [256, 192]),
        ("sizes", [[256, "192"]]),
        ("mean", [1.0, 2.0]),
        ("mean", [1.0, 2.0, "3"]),
        ("std", 128.0),
        ("sizes", [[256, 192, 3]]),
        ("sizes", [[256]]),
        ("sizes", []),
        ("sizes", [[]]),
    ],
)
def test_wrong_types_are_named(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"mine\.toml: {key} = .*; expected "):
        read(**{key: value})


@pytest.mark.parametrize("size", [[250, 192], [256, 190]])
def test_sizes_are_pairs_of_multiples_of_4(size: list[int]) -> None:
    with pytest.raises(UsageError, match=r"expected \[height, width\], multiples of 4"):
        read(sizes=[size])


def test_stages_need_one_entry_each() -> None:
    with pytest.raises(UsageError, match="one entry per stage"):
        read(epochs=[1, 2])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("sigma", -1.0),
        ("clip_grad", 0),
        ("std", [1.0, 1.0, 0.0]),
        ("mean", [1.0, 1.0, float("nan")]),
        ("weight_decay", -0.1),
        ("seed", -1),
        ("freeze", -1),
        ("ema", 1.5),
        ("mirror", 2),
        ("quarter_turn", 1.5),
        ("upright", -0.1),
        ("teacher_agree", 0.0),
        ("teacher_floor", 1.1),
        ("teacher_share", -0.5),
        ("warmup", -0.1),
        ("padding", 0.5),
    ],
)
def test_numbers_out_of_range_are_named(key: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"mine\.toml: {key} = .*; (expected|every value)"):
        read(**{key: value})


def test_amp_is_one_of_three() -> None:
    with pytest.raises(UsageError, match="amp = 'int8'; known: bf16, fp16, none"):
        read(amp="int8")


def test_losses_and_codecs_are_known() -> None:
    with pytest.raises(UsageError, match="codec 'heatmap': loss = 'l1'; known: mse, ohkm"):
        read(loss="l1")
    with pytest.raises(UsageError, match="codec = 'map'; did you mean 'heatmap'"):
        read(codec="map")
    with pytest.raises(UsageError, match="codec 'paf': loss = 'ohkm'; known: mse"):
        read(codec="paf", loss="ohkm")
    with pytest.raises(
        UsageError, match="codec 'regression': loss = 'mse'; known: cascade, l2, own_path, path, refined"
    ):
        read(codec="regression")


def test_what_stays_out_of_int8_is_in_the_contract() -> None:
    recipe = read(keep_float=["/spatial/*"])
    assert recipe.spec().quantize.keep_float == ("/spatial/*",)
    assert recipe.spec().quantize.method == "image_max"
    assert read(calibration="percentile").spec().quantize.method == "percentile"
    with pytest.raises(UsageError, match=r"mine\.toml: calibration = 'entrpy'; did you mean 'entropy'"):
        read(calibration="entrpy")
    with pytest.raises(UsageError, match="keep_float = '/spatial/\\*'; expected list, got text"):
        read(keep_float="/spatial/*")


def test_a_paf_network_sees_whole_images_but_trains_on_crops() -> None:
    recipe = read(codec="paf", padding=1.6)
    assert recipe.spec().crop.padding == 1.0
    assert recipe.spec().outputs == ("heatmaps", "pafs")
    assert recipe.training_spec().crop.padding == 1.6
    assert read(padding=1.6).spec() == read(padding=1.6).training_spec()


def test_read_by_name_or_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('model = "simplebaseline-r18"\nepochs = [7]\n')
    assert read_recipe(str(path)).epochs == (7,)
    with pytest.raises(UsageError, match="unknown recipe 'lit'; did you mean 'lite'"):
        read_recipe("lit")
    with pytest.raises(EdgeposeError, match=r"cannot read recipe .*absent\.toml"):
        read_recipe(str(tmp_path / "absent.toml"))
    path.write_text("model = ")
    with pytest.raises(EdgeposeError, match="no valid TOML"):
        read_recipe(str(path))
