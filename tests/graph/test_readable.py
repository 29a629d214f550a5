"""A file of which a part cannot be read is refused with one line when it is loaded, whatever is done with it then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("onnx")

from edgepose.errors import ModelError
from edgepose.graph.lookup import load_onnx


def weight(model: Any) -> Any:
    return next(tensor for tensor in model.graph.initializer if tensor.name == "stem.w")


def cut(model: Any) -> None:
    weight(model).raw_data = weight(model).raw_data[:-4]


def longer(model: Any) -> None:
    weight(model).raw_data += b"\0" * 4


def other_axes(model: Any) -> None:
    weight(model).dims.append(2)


def negative_axis(model: Any) -> None:
    weight(model).dims[0] = -3


def huge_axis(model: Any) -> None:
    weight(model).dims[0] = 2**62


def unknown_type(model: Any) -> None:
    weight(model).data_type = 99


def no_type(model: Any) -> None:
    weight(model).data_type = 0


def unknown_type_of_input(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = 99


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "values of 'stem.w' do not fit"),
        (longer, "values of 'stem.w' do not fit"),
        (other_axes, "values of 'stem.w' do not fit"),
        (negative_axis, "values of 'stem.w' do not fit"),
        (huge_axis, "values of 'stem.w' do not fit"),
        (unknown_type, "values of 'stem.w' do not fit its type 99"),
        (no_type, "values of 'stem.w' do not fit its type 0"),
        (unknown_type_of_input, "tensor 'input' has the type 99"),
    ],
)
def test_what_cannot_be_read_is_refused(
    damage: Callable[[Any], None], said: str, nets: ModuleType, tmp_path: Path
) -> None:
    model = nets.pose_net()
    damage(model)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=said) as error:
        load_onnx(tmp_path / "net.onnx")
    assert "net.onnx" in str(error.value)


@pytest.mark.parametrize("text", [b"stem.w", b"/stem", b"depthwise", b"Conv", b"batch", b"heatmaps"])
def test_text_that_is_not_utf_8_is_refused(text: bytes, nets: ModuleType, tmp_path: Path) -> None:
    raw = nets.pose_net().SerializeToString()
    assert text in raw
    (tmp_path / "net.onnx").write_bytes(raw.replace(text, b"\xd9" * len(text)))
    with pytest.raises(ModelError, match=r"net\.onnx is a damaged ONNX file: a name in it is not UTF-8"):
        load_onnx(tmp_path / "net.onnx")
