"""Every device test on a GPU."""

import pytest
from device_tests import *  # noqa: F403

pytestmark = [pytest.mark.gpu, *([pytestmark] if not isinstance(pytestmark, list) else pytestmark)]  # noqa: F405
