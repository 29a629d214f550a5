"""Arguments and options that several verbs share."""

from pathlib import Path

import click

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
NETWORK = click.Path(path_type=Path, exists=True)  # a file, or the folder that it was published in
NEW_FILE, NEW_FOLDER = (click.Path(path_type=Path, dir_okay=folder, file_okay=not folder) for folder in (False, True))

engine = click.argument("engine", metavar="ENGINE")
engines = click.argument("engines", metavar="ENGINE...", nargs=-1, required=True)
overwrite = click.option("--overwrite", is_flag=True, help="Replace files that exist.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
json_path = click.option("--json", "out", type=NEW_FILE, help="Write the numbers to this file.")
out_file = click.option("--out", type=NEW_FILE, required=True, help="The file to write.")
out_folder = click.option("--out", type=NEW_FOLDER, required=True, help="The folder to write to.")
limit = click.option("--calib-limit", "limit", type=click.IntRange(32), default=512, show_default=True,
                     help="Largest number of people to calibrate on.")  # fmt: skip
data = click.option("--data", metavar="KIND:PATH[:SPLIT]", required=True,
                    help="lsp:PATH:test, lspet:PATH, mpii:PATH:valid, flic:PATH:test, coco:PATH:val2017, "
                         "json:LABELS[:SKELETON], images:FOLDER, synthetic:N.")  # fmt: skip
