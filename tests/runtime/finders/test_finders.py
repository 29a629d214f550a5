"""Which finder a word or a file opens."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.backends.session import OpenOptions
from edgepose.errors import EdgeposeError, UsageError
from edgepose.runtime.finders import FINDERS, Kind, open_finder
from edgepose.runtime.finders.whole import whole_frame

IMAGE = np.zeros((120, 160, 3), np.uint8)


def test_whole_frame_reaches_every_edge():
    boxes, scores = whole_frame(IMAGE, "any", None)
    assert boxes.tolist() == [[-0.5, -0.5, 159.5, 119.5]]
    assert boxes.dtype == scores.dtype == np.float32


def test_a_finder_is_opened_by_its_word(tmp_path):
    with open_finder("whole", OpenOptions()) as finder:
        assert finder is whole_frame
    with pytest.raises(UsageError, match="expected whole"), open_finder("yolo.pt", OpenOptions()):
        pass
    with pytest.raises(EdgeposeError, match="no ONNX file at"), open_finder("missing.onnx", OpenOptions()):
        pass


def test_a_new_kind_is_one_module_and_one_line(tmp_path, monkeypatch):
    (tmp_path / "middle.py").write_text(
        "import contextlib\nimport numpy as np\n\n"
        "@contextlib.contextmanager\n"
        "def open_finder(text, options):\n"
        "    yield lambda image, frame_name, previous: (np.float32([[1, 2, 3, 4]]), np.float32([0.5]))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(FINDERS, "middle", Kind("middle", "middle"))
    with open_finder("middle", OpenOptions()) as finder:
        assert finder(IMAGE, "a", None)[0].tolist() == [[1, 2, 3, 4]]
    with pytest.raises(UsageError, match=r"expected whole, .*the engine folder of one or middle"):
        open_finder("yolo.pt", OpenOptions())
