"""Several processes: what one would have computed, written by one, stopped together."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")

import edgepose  # noqa: E402
from edgepose.datasets.targets import HeatmapTarget  # noqa: E402
from edgepose.datasets.torch_feed import TrainingItems, batches  # noqa: E402
from edgepose.errors import UsageError  # noqa: E402
from edgepose.training.checkpoint import load_checkpoint  # noqa: E402
from edgepose.training.distributed import Processes  # noqa: E402
from edgepose.training.loop import train  # noqa: E402

ROOT = Path(edgepose.__file__).resolve().parents[1]


def two_processes(out: Path) -> str:
    """tiny.py in two gloo processes that `torch.distributed.run` starts; what they print."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = [str(Path(__file__).with_name("tiny.py")), json.dumps({"out": str(out)})]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [*command, *script],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            said, errors = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.terminate()  # a kill would leave the two behind
            raise
    assert process.returncode == 0, errors[-3000:]
    return said


def losses(out: Path) -> list[float]:
    with (out / "log.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_two_processes_learn_what_one_does_and_stop_together(tiny: ModuleType, tmp_path: Path) -> None:
    """Each rank has a folder of its own, and rank 1's must stay away. Ctrl-C reaches rank 1 alone."""
    said = two_processes(tmp_path)
    assert "rank 0 stopped" in said and "rank 1 stopped" in said
    assert [path.name for path in tmp_path.iterdir()] == ["rank0"]
    with pytest.raises(KeyboardInterrupt):
        one = tiny.options(tmp_path / "one")
        train(tiny.COMPARED, [tiny.people(1)], [tiny.people(2)], one, tiny.at_batch(8, tiny.press_ctrl_c))

    alone, two = (load_checkpoint(tmp_path / name / "last.pt") for name in ("one", "rank0"))
    assert two.training["counters"] == alone.training["counters"] == [2, 2, 8]
    # The log of rank 0 is of its half of each batch.
    assert losses(tmp_path / "rank0") == pytest.approx(losses(tmp_path / "one"), rel=0.2)
    for name, value in alone.training["model"].items():
        torch.testing.assert_close(two.training["model"][name], value, rtol=0, atol=2e-4)


@pytest.mark.parametrize("skip", [0, 1])
def test_the_processes_share_each_batch(tiny: ModuleType, skip: int) -> None:
    items = TrainingItems(
        [tiny.people(1)], tiny.COMPARED.spec(), tiny.SIZE, HeatmapTarget(stride=4, sigma=2.0), 3, 0, None
    )
    whole, count = batches(items, 4, workers=0, skip=skip)
    shares = [batches(items, 4, workers=0, rank=rank, world=2, skip=skip)[0] for rank in (0, 1)]
    compared = 0
    for (crops, *_), (first, *_), (second, *_) in zip(whole, *shares, strict=True):
        assert torch.equal(crops, torch.cat([first, second]))
        compared += 1
    assert (count, compared) == (3, 3 - skip)


def test_a_batch_that_cannot_be_divided(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgepose.training.loop.Processes", _Three)
    with pytest.raises(UsageError, match="a batch of 4 cannot be divided among 3 processes"):
        train(tiny.RECIPE, [tiny.people(1)], [], tiny.options(tmp_path))


class _Three(Processes):
    """Three processes, of which nobody started the other two."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.world = 3

    def __enter__(self) -> _Three:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_alone_nothing_is_shared() -> None:
    with Processes("cpu") as processes:
        model = torch.nn.Linear(1, 1)
        assert processes.sharing(model) is model
        assert processes.writes
        assert processes.anywhere(True, False) == (True, False)
        processes.wait()


@pytest.mark.parametrize("name", ["tpu9", "cpu:x", ""])
def test_an_unknown_device(name: str) -> None:
    with pytest.raises(UsageError, match="unknown device"):
        Processes(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_here(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UsageError, match=r"device cuda:\d does not exist: torch finds 0 GPUs on this machine"):
        Processes(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Processes("auto").device.type == "cpu"
