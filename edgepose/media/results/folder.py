"""A folder that receives a file per frame while the run goes on.

Each file is complete when it appears. The folder holds `edgepose.info`, by which later runs know that its content may
be replaced. The content of an earlier run is removed at the first frame, so that a run that fails before keeps it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from edgepose._files import write_bytes
from edgepose.media.results import MARKER
from edgepose.media.results.record import FORMAT
from edgepose.media.results.sink import RunFacts
from edgepose.media.results.textfile import writing


class ResultFolder:
    """A folder of results.

    Args:
        path: The folder.
        about: What is known of the run, for the marker.
        holds: What the files are, in a few words, for the marker.
    """

    def __init__(self, path: Path, about: RunFacts, holds: str) -> None:
        self.path, self._begun = path, False
        self._marker, self._mode = marker_text(about, holds), 0o666 & ~_mask()

    def write(self, name: str, data: bytes) -> None:
        """Write a file; `name` may begin with folders.

        Raises:
            EdgeposeError: The file cannot be written. No part of it is left.
        """
        if not self._begun:
            self._begin()
        path = self.path / name
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".edgepose-", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    os.fchmod(file.fileno(), self._mode)
                Path(temporary).replace(path)  # not synchronized: this would cost more than the rest of a frame
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise

    def finish(self, error: BaseException | None) -> None:
        """Make the folder where the run ended well before the first frame."""
        if not self._begun and error is None:
            self._begin()

    def _begin(self) -> None:
        self._begun = True
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        write_bytes(self.path / MARKER, self._marker)  # first: whatever stops this, the folder stays known as ours
        with writing(self.path):
            for old in [path for path in self.path.iterdir() if path.name != MARKER]:
                if old.is_dir() and not old.is_symlink():
                    shutil.rmtree(old)
                else:
                    old.unlink()


def marker_text(about: RunFacts, holds: str) -> bytes:
    """Return the content of the marker: the version of the schema, what the folder holds, source and skeleton."""
    facts = {
        "format": FORMAT,
        "holds": holds,
        "source": about.name,
        "fps": round(about.fps, 6),
        "skeleton": about.skeleton.to_json(),
    }
    return (json.dumps(facts, indent=2) + "\n").encode()


def _mask() -> int:
    mask = os.umask(0o077)  # the only way to read the mask is to set it
    os.umask(mask)
    return mask
