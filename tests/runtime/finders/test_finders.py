"""Which finder a word or a file opens."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.backends.session import OpenOptions
from edgepose.errors import EdgeposeError, UsageError
from edgepose.runtime.finders import open_finder
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
    with pytest.raises(EdgeposeError, match="cannot read"), open_finder("missing.onnx", OpenOptions()):
        pass
