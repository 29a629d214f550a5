"""The words that a contract chooses from. The command line's help lists some, so nothing is imported here."""

from __future__ import annotations

COLORS = ("rgb", "bgr")
LAYOUTS = ("nchw", "nhwc")
DTYPES = ("float32", "float16", "uint8")
BORDERS = ("constant", "replicate")
