"""Parity: measured at batch 1 and N, an error where it is too far, where it is NaN, where shapes differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import ModelError, ParityError
from edgepose.export.onnx import to_onnx
from edgepose.export.verify import verify


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 14, 3, padding=1)


@pytest.fixture
def exported(module: nn.Module, tiny_spec: ModelSpec, tmp_path: Path) -> Path:
    onnx.save(to_onnx(module, tiny_spec), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 3, 32, 24)).astype(np.float32)


def test_the_numbers_are_the_errors(module: nn.Conv2d, exported: Path, crops: np.ndarray) -> None:
    """Shift one channel's bias by a known amount, and read it back."""
    with torch.no_grad():
        module.bias[3] += 0.25
    parity = verify(module, exported, crops, tolerance=1.0)
    assert parity.max_abs_error == pytest.approx(0.25, abs=1e-4)
    assert parity.mean_abs_error == pytest.approx(0.25 / 14, abs=1e-4)
    assert (parity.n, parity.batches) == (4, (1, 4))
    assert parity.scale > 1


def test_a_small_difference_is_an_error(module: nn.Conv2d, exported: Path, crops: np.ndarray) -> None:
    verify(module, exported, crops)
    with torch.no_grad():
        module.weight[0, 0, 0, 0] += 0.01
    with pytest.raises(ParityError, match="differs by up to"):
        verify(module, exported, crops)


def test_not_a_number_is_an_error(module: nn.Conv2d, exported: Path, crops: np.ndarray) -> None:
    with torch.no_grad():
        module.bias[0] = float("nan")
    with pytest.raises(ParityError):
        verify(module, exported, crops)


def test_another_shape_is_an_error(exported: Path, crops: np.ndarray) -> None:
    with pytest.raises(ParityError, match="but torch returns"):
        verify(nn.Conv2d(3, 14, 3), exported, crops)


def test_one_crop_is_one_batch(module: nn.Module, exported: Path, crops: np.ndarray) -> None:
    assert verify(module, exported, crops[:1]).batches == (1,)


def test_crops_are_checked(module: nn.Module, exported: Path, crops: np.ndarray) -> None:
    with pytest.raises(ValueError, match="crops: expected dtype float32"):
        verify(module, exported, crops.astype(np.float64))
    with pytest.raises(ValueError, match="at least one crop"):
        verify(module, exported, crops[:0])


def test_a_graph_that_does_not_load(module: nn.Module, crops: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"bad")
    with pytest.raises(ModelError, match="cannot run"):
        verify(module, tmp_path / "bad.onnx", crops)
