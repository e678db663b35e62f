"""The command line: one file per verb, each parses, makes one library call and echoes.

Data go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 a named error, 2 wrong usage, 3 done with
skips, 4 leaks under --strict, 5 figures that contradict each other (check-claims), 130 and 143 interrupted.
"""

from __future__ import annotations

import os
import sys
import warnings

import click

from fusionfer import __version__
from fusionfer.exceptions import ExtractionInterrupted, FusionferError, LeakError

from .audit import audit
from .cache import cache
from .check_claims import check_claims
from .demo import demo
from .eda import eda
from .evaluate import evaluate
from .explain import explain
from .export import export
from .extract import extract
from .fit import fit
from .heads import heads
from .info import info
from .live import live
from .predict import predict
from .replay import replay
from .report import report
from .train import train
from .wording import as_options

__all__ = ["cli", "main"]


class _InOrder(click.Group):
    """Lists the verbs in the order in which they are used, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="fusionfer")
def cli() -> None:
    """Feature fusion of CNN backbones with classical classifier heads, and honest figures.

    \b
    The main job, on the FER-2013 folder release:
      fusionfer extract fer2013.zip --cache features_cache/fer2013
      fusionfer fit features_cache/fer2013 --head ecoc --out fer2013.fusionfer
      fusionfer evaluate features_cache/fer2013 --model fer2013.fusionfer --split test
      fusionfer predict photo.jpg --model fer2013.fusionfer
    \b
    No data at hand? The whole of it on generated faces:
      fusionfer demo
    """


for command in (
    demo, eda, audit, extract, train, heads, fit, evaluate, report, predict, live, explain, export, replay,
    check_claims, info, cache,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run the command line and exit; every error that has a name is one line on stderr."""
    warnings.showwarning = _show_warning
    # numpy and scipy bring an OpenBLAS each, and the idle threads of one spin for some 50 ms on the cores that the
    # other one needs; it is read when they are loaded.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    try:
        code = cli.main(prog_name="fusionfer", standalone_mode=False)
    except click.exceptions.Abort:
        code = _say("interrupted.", 130)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except ExtractionInterrupted as error:
        code = _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        code = _say("interrupted.", 130)
    except LeakError as error:
        code = _say(f"leak: {error}", 4)
    except (FusionferError, OSError, MemoryError) as error:
        code = _say(f"error: {_one_line(error)}", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _say(text: str, code: int) -> int:
    click.echo(f"fusionfer: {text}", err=True)
    return code


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return as_options(text) or type(error).__name__


def _show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    click.echo(f"fusionfer: warning: {message}", err=True)
