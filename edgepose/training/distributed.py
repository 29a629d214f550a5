"""The processes of a run: one, or those that `torchrun` started, which sets environment variables.

Every process computes its share of each batch. Only rank 0 validates and writes files.
"""

from __future__ import annotations

import os
from datetime import timedelta
from types import TracebackType

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from edgepose.errors import UsageError

PATIENCE = timedelta(hours=2)  # other processes wait while rank 0 validates


class Processes:
    """A context manager with the rank, the world size and the device. It joins the process group if there are several.

    Args:
        device: "auto", "cpu", "cuda" (the GPU of this process) or "cuda:N".

    Raises:
        UsageError: The device does not exist.
    """

    def __init__(self, device: str) -> None:
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = _device(device, int(os.environ.get("LOCAL_RANK", "0")))

    def __enter__(self) -> Processes:
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo", timeout=PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.world > 1:
            dist.destroy_process_group()

    @property
    def writes(self) -> bool:
        """Whether this process is the one that validates and writes files."""
        return self.rank == 0

    def sharing(self, model: nn.Module) -> nn.Module:
        """Return the module to call in training: the model, or a wrapper that averages gradients over the processes."""
        if self.world == 1:
            return model
        devices = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices)

    def anywhere(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether it is true in any process. All processes get the same result."""
        if self.world == 1:
            return flags
        votes = torch.tensor(flags, dtype=torch.int32, device=self.device)
        dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return tuple(bool(vote) for vote in votes.tolist())

    def wait(self) -> None:
        """Wait until every process has reached this point."""
        if self.world > 1:
            dist.barrier()


def _device(name: str, local: int) -> torch.device:
    """Return the device `auto`, `cpu`, `cuda` (the GPU of this process) or `cuda:N`. UsageError if it is missing."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"unknown device {name!r}; use auto, cpu, cuda or cuda:N") from error
    if device.type != "cuda":
        return device
    device = torch.device("cuda", local if device.index is None else device.index)
    if device.index >= torch.cuda.device_count():
        seen = torch.cuda.device_count()
        raise UsageError(f"device {device} does not exist: torch finds {seen} GPUs on this machine; use --device cpu")
    return device
