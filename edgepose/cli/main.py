"""The `edgepose` command. The module of a verb is imported when the verb is used.

Exit codes: 0 success; 1 failure, with one line that says what to do; 2 wrong usage; 130 interrupted by Ctrl-C, 143 by
SIGTERM, 129 by SIGHUP.
Results for other programs go to files or stdout, progress and errors to stderr.
"""

import importlib
import sys

import click

from edgepose import __version__
from edgepose._stop import end_at_once, exit_code, last_signal, stop_signals
from edgepose.cli import show
from edgepose.errors import EdgeposeError, UsageError, nearest, redact

# verb -> (module.function, what it does), in the order of the pipeline
VERBS = {
    "doctor": ("look.doctor", "What this machine can build and run, and what is missing."),
    "data": ("look.data", "Look at data sets: what they hold, what is missing, what looks wrong."),
    "train": ("make.train", "Train a network by a recipe."),
    "export": ("make.export", "Write a checkpoint as ONNX with its contract inside."),
    "calibrate": ("make.calibrate", "Observe the activations of a network on images."),
    "build": ("make.build", "Build engines in FP32, FP16 and INT8."),
    "check": ("look.check_engines", "Run the acceptance sample of engines: do they compute here what they should?"),
    "diagnose": ("look.diagnose", "Find the first layer at which two graphs or engines part."),
    "run": ("run.command", "Find people's poses in images, videos and cameras."),
    "eval": ("measure.evaluate", "Measure accuracy, and the share that each engine retains of the first."),
    "bench": ("measure.bench", "Measure latency, stage by stage."),
    "report": ("measure.report", "Make one page of the results in a folder."),
    "inspect": ("look.inspect", "Explain an engine, an ONNX, a checkpoint, scales or results."),
    "cache": ("look.cache", "List or delete the engines that were built of zoo models and ONNX files."),
    "demo": ("measure.demo", "Show all of it, on data that needs no download."),
    "completion": ("look.completion", "Print the completion script of a shell."),
}


class _Verbs(click.Group):
    """A group that imports a verb's module when the verb is used: `--help` stays fast and needs no extra."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module, _, function = VERBS[name][0].partition(".")
        command: click.Command = getattr(importlib.import_module(f"edgepose.cli.{module}"), function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(f"unknown verb {args[0]!r}{nearest(args[0], VERBS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs, in the order of the pipeline"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="edgepose")
def cli() -> None:
    """Human-pose networks on edge devices: calibrated INT8 engines, and what they cost in accuracy.

    \b
    Try it:            edgepose demo
                       edgepose run lite --source photo.jpg
    Ship a network:    edgepose build lite --precision fp32,int8 --out engines
                       edgepose run engines/openvino-int8 --source video.mp4 --out-video poses.mp4
                       edgepose eval engines/openvino-* --data lsp:PATH:test
                       edgepose bench engines/openvino-*
    """


def main() -> None:
    """Run the command line; an EdgeposeError is one line on stderr, not a traceback."""
    try:
        with stop_signals():
            code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        vars(error).update(message=redact(error.message))  # an argument that it repeats may be an address
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        code = _stopped(error.__cause__ or error)
    except EdgeposeError as error:
        if stop := last_signal():  # a library made another error of it
            code = _stopped(stop)
        else:
            show.fail(str(error))
            code = 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        show.fail(f"{error.filename or 'the system'}: {error.strerror or error}")
        stopped = isinstance(error.__context__, KeyboardInterrupt)  # and the terminal is closed
        code = exit_code(error.__context__) if stopped and error.__context__ else 1
    sys.exit(code)


def _stopped(error: BaseException) -> int:
    code = exit_code(error)
    end_at_once(code)
    show.fail("stopped; what was finished is kept")
    return code
