"""Smoothing of poses over time: `online.Smoother` while frames come, `offline.smooth` for a recording."""

from edgepose.runtime.smoothing.offline import smooth
from edgepose.runtime.smoothing.online import Smoother, SmoothingOptions
from edgepose.runtime.smoothing.report import SmoothingReport

__all__ = ["Smoother", "SmoothingOptions", "SmoothingReport", "smooth"]
