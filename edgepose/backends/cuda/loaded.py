"""Load the kernels of the fatbin and launch them with the arguments that `edgepose.kernels.cuda` packs."""

from __future__ import annotations

from edgepose.backends.cuda.driver import Driver
from edgepose.errors import EngineError
from edgepose.kernels import cuda
from edgepose.kernels.cuda import Launch


class Kernels:
    """The kernels of the fatbin, which are loaded by the first `launch` or `load`.

    Args:
        driver: Loads the kernels and frees them when it is closed.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._module: int | None = None
        self._functions: dict[str, int] = {}

    def load(self) -> int:
        """Return the handle of the loaded fatbin.

        Raises:
            EngineError: The fatbin was not compiled, or not for this GPU.
        """
        if self._module is None:
            path = cuda.fatbin()
            if path is None:
                raise EngineError(f"there are no CUDA kernels: {cuda.implementation()}")
            try:
                self._module = self._driver.load_module(path.read_bytes())
            except EngineError as error:
                raise EngineError(f"{error}; they were compiled for {cuda.implementation()}") from error
        return self._module

    def launch(self, launch: Launch, stream: int) -> None:
        """Enqueue a kernel; this neither waits nor allocates memory."""
        if launch.name not in self._functions:
            self._functions[launch.name] = self._driver.function(self.load(), launch.name)
        self._driver.launch(self._functions[launch.name], launch, stream)
