"""Training a tiny network on drawn pictures: that it learns, stops, goes on, and refuses."""

from __future__ import annotations

import csv
import importlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import edgepose  # noqa: E402
from edgepose.datasets.targets import joints_in  # noqa: E402
from edgepose.errors import EdgeposeError, ModelError, UsageError  # noqa: E402
from edgepose.models import MODELS  # noqa: E402
from edgepose.pose.skeletons import SKELETONS  # noqa: E402
from edgepose.training.checkpoint import load_checkpoint, load_model  # noqa: E402
from edgepose.training.objectives import HeatmapObjective, objective_of  # noqa: E402

loop = importlib.import_module("edgepose.training.loop")
ROOT = Path(edgepose.__file__).resolve().parents[1]
Tensors = dict[str, Any]


class Killed(BaseException):
    """A kill at a place of the test's choice."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No scalars: test_log.py looks at those."""
    monkeypatch.setattr("edgepose.training.log.available", lambda name: False)


@pytest.fixture(scope="module")
def straight(tiny_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run of RECIPE."""
    out = tmp_path_factory.mktemp("straight")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "tiny", tiny_module.build)
        patch.setattr("edgepose.training.log.available", lambda name: False)
        run(tiny_module, out)
    return out


def run(tiny: ModuleType, out: Path, recipe: Any = None, track: Any = None, **options: Any) -> Path:
    more = {} if track is None else {"track": track}
    place = tiny.options(out, **options)
    best: Path = loop.train(recipe or tiny.RECIPE, [tiny.people(1)], [tiny.people(2)], place, **more)
    return best


def kill() -> None:
    raise Killed


def flat(value: Any, name: str = "") -> Tensors:
    """Every tensor and number of a nested value, by its path."""
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in flat(item, f"{name}/{key}").items()}
    if isinstance(value, (list, tuple)):
        return {k: v for i, item in enumerate(value) for k, v in flat(item, f"{name}/{i}").items()}
    return {name: value}


def assert_same_run(a: Path, b: Path) -> None:
    """Bit for bit: weights, average, optimizer, counters, generator; and the log but for its times."""
    for file in ("last.pt", "best.pt"):
        left, right = load_checkpoint(a / file), load_checkpoint(b / file)
        ours = flat({"weights": left.weights, "training": left.training})
        theirs = flat({"weights": right.weights, "training": right.training})
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            same = torch.equal(value, theirs[name]) if torch.is_tensor(value) else value == theirs[name]
            assert same, f"{file}: {name}"
    assert learnt(a) == learnt(b)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def learnt(out: Path) -> list[list[str]]:
    return [[row[name] for name in ("epoch", "lr", "loss", "pck@0.2")] for row in rows(out)]


@pytest.mark.parametrize("amp", ["none", "bf16"])
def test_it_learns(tiny: ModuleType, tmp_path: Path, amp: str) -> None:
    best = run(tiny, tmp_path, replace(tiny.RECIPE, epochs=(20,), lr=5e-3, amp=amp))
    log = rows(tmp_path)
    assert len(log) == 20
    assert float(log[-1]["loss"]) < 0.4 * float(log[0]["loss"])
    assert float(log[0]["pck@0.2"]) < 0.1
    assert float(log[-1]["pck@0.2"]) > 0.25
    model, spec = load_model(best)
    assert spec == tiny.RECIPE.spec()
    assert next(model.parameters()).dtype == torch.float32


def test_best_is_the_average_of_the_best_epoch(tiny: ModuleType, straight: Path) -> None:
    recipe, data = tiny.RECIPE, [tiny.people(2)]
    model, _ = load_model(straight / "best.pt")
    objective = objective_of(recipe, model, tiny.SIZE, recipe.sigma)
    pck = loop.validate(model, data, recipe.spec(), tiny.SIZE, objective, torch.device("cpu"), 0)
    assert f"{pck:.4f}" == max(row["pck@0.2"] for row in rows(straight))


def test_no_epoch_before_everything_is_learnt_is_the_best(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of four epochs ends just where the last part begins: its 0.9 yields to 0.2, that to 0.5."""
    measured = iter([0.8, 0.9, 0.2, 0.5])
    saved: list[int] = []
    save = loop.save_checkpoint

    def watch(path: Path, checkpoint: Any) -> None:
        if path.name == "best.pt":
            saved.append(len(rows(tmp_path)) + 1 if (tmp_path / "log.csv").exists() else 1)
        save(path, checkpoint)

    monkeypatch.setattr(HeatmapObjective, "whole_from", 0.5)
    monkeypatch.setattr(loop, "validate", lambda *_: next(measured))
    monkeypatch.setattr(loop, "save_checkpoint", watch)
    run(tiny, tmp_path, replace(tiny.RECIPE, epochs=(4,)))
    assert saved == [1, 2, 3, 4]
    assert load_checkpoint(tmp_path / "last.pt").training["measures"][1] == 0.5


def test_last_holds_the_average_beside_the_weights(straight: Path) -> None:
    last = load_checkpoint(straight / "last.pt")
    assert not torch.equal(last.weights["0.weight"], last.training["model"]["0.weight"])
    assert last.training["counters"] == [3, 0, 9]


def test_a_second_run_is_the_same(tiny: ModuleType, straight: Path, tmp_path: Path) -> None:
    run(tiny, tmp_path)
    assert_same_run(straight, tmp_path)


def test_another_seed_is_another_run(tiny: ModuleType, straight: Path, tmp_path: Path) -> None:
    run(tiny, tmp_path, replace(tiny.RECIPE, seed=4))
    assert learnt(straight) != learnt(tmp_path)


@pytest.mark.parametrize("batch", [2, 3, 4, 6, 8, 9])
def test_a_killed_run_goes_on_as_if_it_had_not_been(
    tiny: ModuleType, straight: Path, tmp_path: Path, batch: int
) -> None:
    """Killed in the middle of an epoch, at its last batch, at its first; dropout draws in every step."""
    with pytest.raises(Killed):
        run(tiny, tmp_path, track=tiny.at_batch(batch, kill), save_every=1)
    run(tiny, tmp_path, resume=True)
    assert_same_run(straight, tmp_path)


@pytest.mark.parametrize("place", ["validate", "log", "save"])
def test_a_kill_between_two_epochs(
    tiny: ModuleType, straight: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In validation; after best.pt and before the log; after the log and before last.pt."""
    save = loop.save_checkpoint

    def save_or_die(path: Path, checkpoint: Any) -> None:
        if path.name == "last.pt" and checkpoint.training["counters"][:2] == [2, 0]:
            raise Killed
        save(path, checkpoint)

    with monkeypatch.context() as patch:
        if place == "save":
            patch.setattr(loop, "save_checkpoint", save_or_die)
        elif place == "log":
            patch.setattr(loop.RunLog, "add", lambda *_: kill())
        else:
            patch.setattr(loop, "validate", lambda *_: kill())
        with pytest.raises(Killed):
            run(tiny, tmp_path, save_every=1)
    run(tiny, tmp_path, resume=True)
    assert_same_run(straight, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_a_checkpoint_of_a_whole_step(
    tiny: ModuleType, straight: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tiny, tmp_path, track=tiny.at_batch(5, lambda: signal.raise_signal(number)))
    assert load_checkpoint(tmp_path / "last.pt").training["counters"] == [1, 2, 5]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    run(tiny, tmp_path, resume=True)
    assert_same_run(straight, tmp_path)


def test_ctrl_c_at_the_last_batch_of_an_epoch(tiny: ModuleType, straight: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tiny, tmp_path, track=tiny.at_batch(3, lambda: signal.raise_signal(signal.SIGINT)))
    assert load_checkpoint(tmp_path / "last.pt").training["counters"] == [0, 3, 3]
    run(tiny, tmp_path, resume=True)
    assert_same_run(straight, tmp_path)


def test_a_real_ctrl_c_in_a_process_with_workers(straight: Path, tmp_path: Path, tiny: ModuleType) -> None:
    """The signal goes to the process and its loader, as a terminal sends it; resumed without workers."""
    arguments = json.dumps({"out": str(tmp_path), "workers": 1})
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("tiny.py")), arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 2/3 at 64x64, batch 2"):
                os.killpg(process.pid, signal.SIGINT)
                break
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    counters = load_checkpoint(tmp_path / "last.pt").training["counters"]
    assert counters in ([1, 2, 5], [1, 1, 4]), counters
    run(tiny, tmp_path, resume=True)
    assert_same_run(straight, tmp_path)


def test_resuming_a_finished_run_changes_nothing(tiny: ModuleType, tmp_path: Path) -> None:
    best = run(tiny, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert run(tiny, tmp_path, resume=True) == best
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_it_does_not_overwrite_without_resume(tiny: ModuleType, straight: Path, tmp_path: Path) -> None:
    before = (straight / "last.pt").read_bytes()
    with pytest.raises(UsageError, match=r"last\.pt exists; pass --resume to continue that run, or choose"):
        run(tiny, straight)
    assert (straight / "last.pt").read_bytes() == before
    (tmp_path / "best.pt").write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"best\.pt exists and would be replaced"):
        run(tiny, tmp_path)


def test_nothing_to_resume(tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot resume: .*last\.pt does not exist"):
        run(tiny, tmp_path, resume=True)


def test_a_changed_recipe_is_refused_on_resume(tiny: ModuleType, straight: Path) -> None:
    changed = replace(tiny.RECIPE, lr=1.0, sigma=1.0)
    with pytest.raises(UsageError, match="another recipe \\(lr, sigma differ\\); choose another --out"):
        run(tiny, straight, changed, resume=True)


def test_other_people_are_refused_on_resume(tiny: ModuleType, straight: Path) -> None:
    with pytest.raises(UsageError, match="was trained with people"):
        loop.train(tiny.RECIPE, [tiny.people(1), tiny.people(3)], [tiny.people(2)], tiny.options(straight, resume=True))


def test_a_recipe_without_a_key_that_came_later_resumes(tiny: ModuleType, straight: Path, tmp_path: Path) -> None:
    """Checkpoints of earlier versions know neither `upright` nor teachers; both had their defaults."""
    content = torch.load(straight / "last.pt", weights_only=True)
    del content["training"]["recipe"]["upright"], content["training"]["origin"]["teacher_sha256"]
    torch.save(content, tmp_path / "last.pt")
    run(tiny, tmp_path, resume=True)
    with pytest.raises(UsageError, match="another recipe \\(upright differ\\)"):
        run(tiny, tmp_path, replace(tiny.RECIPE, upright=0.5), resume=True)


def teacher_of(people: Any, path: Path, confidence: float = 0.6) -> Path:
    """Write what a teacher with COCO's joints finds for drawn people: what they share, and every nose at the center."""
    coco = SKELETONS["coco17"]
    annotations = []
    for sample in people.samples:
        xy, labeled = joints_in(sample, coco, people.skeleton)
        xy[0] = 31.5
        joints = [[*(place + 1).tolist(), confidence * (known or k == 0)] for k, (place, known) in
                  enumerate(zip(xy, labeled, strict=True))]  # fmt: skip
        number = sample.image_id
        annotations.append({"id": number, "image_id": number, "category_id": 1, "teacher": joints,
                            "bbox": [0, 0, 63, 63]})  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(coco.joints)}
    images = [{"id": sample.image_id, "file_name": sample.name} for sample in people.samples]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [category]}))
    return path


def test_a_run_with_a_teacher_stops_and_goes_on(tiny: ModuleType, tmp_path: Path) -> None:
    """Data of 14 joints and a teacher of 17 train 17; a resumed run, whose file has moved, has the same result."""
    file = teacher_of(tiny.people(1), tmp_path / "teacher.json")
    turns = {"quarter_turn": 0.5, "upright": 0.5}
    recipe = replace(tiny.RECIPE, skeleton="coco17", epochs=(2,), teacher=(str(file),), **turns)
    run(tiny, tmp_path / "whole", recipe)
    with pytest.raises(Killed):
        run(tiny, tmp_path / "parts", recipe, track=tiny.at_batch(5, kill), save_every=1)
    moved = tmp_path / "moved.json"
    moved.write_bytes(file.read_bytes())
    run(tiny, tmp_path / "parts", replace(recipe, teacher=(str(moved),)), resume=True)
    assert learnt(tmp_path / "whole") == learnt(tmp_path / "parts")
    whole, parts = (load_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert all(torch.equal(value, parts.weights[name]) for name, value in whole.weights.items())
    assert whole.spec.skeleton == SKELETONS["coco17"]
    untaught = replace(recipe, teacher=())
    run(tiny, tmp_path / "untaught", untaught)
    assert learnt(tmp_path / "whole") != learnt(tmp_path / "untaught")
    changed = teacher_of(tiny.people(1), tmp_path / "changed.json", confidence=0.8)
    with pytest.raises(UsageError, match="was trained with teacher_sha256 = "):
        run(tiny, tmp_path / "parts", replace(recipe, teacher=(str(changed),)), resume=True)


def test_the_last_checkpoint_is_never_old(tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tiny, tmp_path, track=tiny.at_batch(3, kill), save_seconds=0.0)
    assert load_checkpoint(tmp_path / "last.pt").training["counters"] == [0, 2, 2]


def test_a_checkpoint_says_what_it_was_made_from(tiny: ModuleType, straight: Path) -> None:
    origin = load_checkpoint(straight / "best.pt").training["origin"]
    assert origin["recipe"] == tiny.RECIPE.to_json()
    assert origin["processes"] == 1
    assert sum(origin["people"]) == tiny.PEOPLE


def test_a_network_or_a_damaged_file_is_refused_on_resume(tiny: ModuleType, straight: Path, tmp_path: Path) -> None:
    last = tmp_path / "last.pt"
    last.write_bytes((straight / "best.pt").read_bytes())
    with pytest.raises(ModelError, match=r"last\.pt holds a network but no training state"):
        run(tiny, tmp_path, resume=True)
    content = torch.load(straight / "last.pt", weights_only=True)
    del content["training"]["optimizer"]
    torch.save(content, last)
    with pytest.raises(ModelError, match=r"last\.pt is damaged \(KeyError: 'optimizer'\)"):
        run(tiny, tmp_path, resume=True)


def test_start_begins_with_the_weights_of_another_run(
    tiny: ModuleType, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "update_average", lambda *_: None)  # the average stays what it began as
    run(tiny, tmp_path, replace(tiny.RECIPE, epochs=(1,)), start=straight / "best.pt")
    began, given = load_checkpoint(tmp_path / "best.pt"), load_checkpoint(straight / "best.pt")
    assert all(torch.equal(began.weights[name], given.weights[name]) for name in given.weights)


def test_start_with_weights_of_another_joint_count(tiny: ModuleType, straight: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"best\.pt has 14 joints \(lsp14\), this run trains 17 \(coco17\)"):
        run(tiny, tmp_path, replace(tiny.RECIPE, skeleton="coco17"), start=straight / "best.pt")
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_the_run(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last checkpoint is of the step before, with weights that are still numbers."""
    real, calls = HeatmapObjective.loss, 0

    def spoilt(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        return real(*arguments) * (float("nan") if calls == 5 else 1.0)

    monkeypatch.setattr(HeatmapObjective, "loss", spoilt)
    with pytest.raises(EdgeposeError, match=r"no longer finite \(here nan\) in epoch 2, batch 2; "):
        run(tiny, tmp_path, save_every=1)
    last = load_checkpoint(tmp_path / "last.pt")
    assert last.training["counters"] == [1, 1, 4]
    tensors = [value for value in flat(last.training).values() if torch.is_tensor(value)]
    assert all(value.isfinite().all() for value in tensors if value.is_floating_point())


def test_a_learning_rate_that_explodes(tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(EdgeposeError, match="no longer finite"):
        run(tiny, tmp_path, replace(tiny.RECIPE, model="tiny-plain", lr=1e20))


def test_the_average_follows_its_formula(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redone beside the run, from the weights after each step."""
    expected, seen = None, []
    update = loop.update_average

    def follow(average: Any, model: Any, decay: float) -> None:
        nonlocal expected
        expected = average[0].weight.clone() if expected is None else expected
        expected = decay * expected + (1 - decay) * model[0].weight.detach()
        seen.append(decay)
        update(average, model, decay)

    monkeypatch.setattr(loop, "update_average", follow)
    run(tiny, tmp_path, replace(tiny.RECIPE, ema=0.4))
    assert seen == pytest.approx([0.1, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 0.4, 0.4, 0.4, 0.4])
    torch.testing.assert_close(load_checkpoint(tmp_path / "last.pt").weights["0.weight"], expected)


def test_stages_grow(tiny: ModuleType, tmp_path: Path) -> None:
    recipe = replace(tiny.RECIPE, sizes=((32, 32), (64, 64)), epochs=(1, 2), batch=(6, 4))
    run(tiny, tmp_path, recipe)
    assert [row["height"] + "x" + row["width"] for row in rows(tmp_path)] == ["32x32", "64x64", "64x64"]
    last = load_checkpoint(tmp_path / "last.pt")
    assert last.training["counters"] == [3, 0, 2 + 3 + 3]
    assert last.spec.input.size == (64, 64)


def test_the_objective_hears_how_far_training_is(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the whole run, stages of another batch included, and after a resume as if there had been none."""
    learn, heard = HeatmapObjective.loss, []

    def listen(objective: Any, network: Any, crops: Any, target: Any, progress: float) -> Any:
        heard.append(progress)
        if len(heard) == 5:
            kill()
        return learn(objective, network, crops, target, progress)

    monkeypatch.setattr(HeatmapObjective, "loss", listen)
    recipe = replace(tiny.RECIPE, sizes=((32, 32), (64, 64)), epochs=(1, 2), batch=(6, 4))
    with pytest.raises(Killed):
        run(tiny, tmp_path, recipe, save_every=1)
    run(tiny, tmp_path, recipe, resume=True)
    steps = [0, 1, 2, 3, 4, 4, 5, 6, 7]  # the fifth was begun twice
    assert heard == pytest.approx([step / 8 for step in steps])


def test_without_validation_the_last_epoch_is_best(tiny: ModuleType, tmp_path: Path) -> None:
    loop.train(tiny.RECIPE, [tiny.people(1)], [], tiny.options(tmp_path))
    best, last = load_checkpoint(tmp_path / "best.pt"), load_checkpoint(tmp_path / "last.pt")
    assert all(torch.equal(best.weights[name], last.weights[name]) for name in last.weights)
    assert {row["pck@0.2"] for row in rows(tmp_path)} == {""}


def test_too_few_people(tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the data has 12 labeled people, but a batch needs 13; add data"):
        run(tiny, tmp_path, replace(tiny.RECIPE, batch=(13,)))


def test_weight_decay_is_for_matrices_and_the_trunk_has_its_own_rate(tiny: ModuleType) -> None:
    from torch import nn

    from edgepose.training.state import new_state

    model = nn.ModuleDict({"trunk": nn.Conv2d(3, 4, 3), "head": nn.Conv2d(4, 2, 1)})
    recipe = replace(tiny.RECIPE, lr=1.0, trunk_lr=0.5, weight_decay=0.1)
    groups = new_state(recipe, model, {}).optimizer.param_groups
    found = {(group["full_lr"], group["weight_decay"]): group["params"] for group in groups}
    assert found.keys() == {(0.5, 0.1), (0.5, 0.0), (1.0, 0.1), (1.0, 0.0)}
    assert found[0.5, 0.0][0] is model["trunk"].bias
    assert found[1.0, 0.1][0] is model["head"].weight
