"""The public image operations. Callers import them from here, whatever computes them."""

from edgepose.kernels.reference import warp_normalize

__all__ = ["warp_normalize"]
