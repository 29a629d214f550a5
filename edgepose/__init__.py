"""edgepose: human-pose networks on edge devices, and what INT8 costs them."""

__version__ = "0.1.0"
