"""Every device test on the emulated device: launch geometry, indices, reductions and compaction, without a GPU."""

from device_tests import *  # noqa: F403
