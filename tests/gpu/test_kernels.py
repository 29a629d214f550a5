"""Every device test on the GPU, with each CUDA package. Never run yet."""

from device_tests import *  # noqa: F403
