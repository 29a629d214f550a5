"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path

import click

from edgepose.artifacts.quantization import METHODS

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
ENGINE = click.Path(path_type=Path, file_okay=False)  # what is wrong with a folder, its manifest's reader says
NEW_FILE = click.Path(path_type=Path, dir_okay=False)
NEW_FOLDER = click.Path(path_type=Path, file_okay=False)

overwrite = click.option("--overwrite", is_flag=True, help="Replace what stands there.")
threads = click.option("--threads", type=click.IntRange(0), default=0, show_default=True,
                       help="CPU threads of inference and of cutting people out; 0 chooses.")  # fmt: skip
calib_limit = click.option("--calib-limit", type=click.IntRange(32), default=512, show_default=True,
                           help="At most so many people are observed.")  # fmt: skip
method = click.option("--method", type=click.Choice(METHODS),
                      help="How a range is chosen of what was observed; by default the contract's way.")  # fmt: skip
data = click.option("--data", metavar="KIND:PATH[:SPLIT]", required=True,
                    help="lsp:PATH:test, lspet:PATH, mpii:PATH:valid, flic:PATH:test, coco:PATH:val2017, "
                         "json:LABELS[:SKELETON], images:FOLDER, synthetic:N.")  # fmt: skip
