"""A Parquet file of the table in `columns.py`; `pyarrow` writes it (extra `parquet`)."""

from __future__ import annotations

import contextlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edgepose._files import replacing
from edgepose._optional import optional
from edgepose.media.results.columns import Value, columns_of, rows_of
from edgepose.media.results.record import FORMAT
from edgepose.media.results.sink import ResultSink, RunFacts, worth_keeping
from edgepose.media.results.textfile import writing
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses

ROWS = 4096  # of a row group, which is kept in memory until it is written
METADATA = b"edgepose"  # the key of the metadata: format, source, frame rate and skeleton as JSON


class Parquet(ResultSink):
    """A Parquet file. Integers are int64, other numbers float64 for the frame and float32 for people."""

    def __init__(self, path: Path, about: RunFacts) -> None:
        self._arrow: Any = optional("pyarrow")
        self._path, self._frames, self._people, self._closed = path, 0, 0, False
        self._rows: list[list[Value]] = []
        self._schema = self._schema_of(about)
        self._stack = ExitStack()
        temporary = self._stack.enter_context(replacing(path))
        with writing(path):
            self._file = optional("pyarrow.parquet").ParquetWriter(temporary, self._schema)

    def write(self, frame: Frame, poses: Poses) -> None:
        """Append the rows of a frame."""
        assert not self._closed, "written to after close"
        self._frames += 1
        self._people += len(poses)
        self._rows.extend(rows_of(frame, poses))
        if len(self._rows) >= ROWS:
            self._flush()

    def close(self, error: BaseException | None = None) -> None:
        """Complete the file, and rename it to its path unless the run ended before it was worth keeping."""
        if self._closed:
            return
        self._closed = True
        kept = worth_keeping(error, self._frames, self._people)
        with contextlib.suppress(_Dropped), self._stack:
            if kept:
                self._flush()
            with writing(self._path):
                self._file.close()
            if not kept:
                raise _Dropped  # removes the temporary file

    def _flush(self) -> None:
        columns = list(zip(*self._rows, strict=True)) or [()] * len(self._schema)
        self._rows.clear()
        arrays = [self._arrow.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        with writing(self._path):
            self._file.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))

    def _schema_of(self, about: RunFacts) -> Any:
        arrow = self._arrow
        types = {str: arrow.string(), int: arrow.int64(), float: arrow.float32()}
        fields = [
            arrow.field(name, arrow.float64() if name == "time_s" else types[kind])
            for name, kind in columns_of(about.skeleton).items()
        ]
        facts = {"format": FORMAT, "source": about.name, "fps": about.fps, "skeleton": about.skeleton.to_json()}
        return arrow.schema(fields, metadata={METADATA: json.dumps(facts).encode()})


class _Dropped(Exception):
    """Leaves `replacing` without a rename."""


def open_sink(place: Path, about: RunFacts) -> ResultSink:
    """Open a Parquet file."""
    return Parquet(place, about)
