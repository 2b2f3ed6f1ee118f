"""Parses the arguments of the command `initcheck`, and holds its help.

Nothing is imported here that takes time.
"""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from keras_initcheck import __version__
from keras_initcheck.command.values import FAIL_ON, at_least, codes, exemption, method, threshold
from keras_initcheck.records.errors import InitCheckError
from keras_initcheck.repairs.options import AUTO
from keras_initcheck.theory.fans import FORWARD, MODES

NARROWEST = 40

COMPANIONS = {
    "--quick": "--demo",
    "--spectrum": "MODEL",
    "--trial": "DATA",
    "--save": "--repair",
    "--force": "--save",
    "--dry-run": "--repair",
    "--layers": "--repair",
    "--mode": "--repair",
    "--allow-trained": "--repair",
    "--repair": "MODEL",
}
"""Options that have no meaning on their own, and what each must come with."""

USAGE = """initcheck MODEL [DATA] [options]
       initcheck MODEL [DATA] --repair [METHOD] (--save PATH | --dry-run)
       initcheck --demo [--quick] [--log-dir DIR]
       initcheck --compare REPORT REPORT [...] [--html PATH]
       initcheck --explain CODE | --list-rules | --list-thresholds | --schema"""

DESCRIPTION = """\
Probes a Keras model with one batch before training, and reports which layers
lose or blow up the signal or its gradient, and why. The model is not changed
unless --repair is given, and its file is not changed unless --force is given.
"""

EPILOG = """\
MODEL
  model.keras, model.h5      A file that Keras has saved. Python code in it (in
                             Lambda layers) is not run unless --unsafe is given.
  package.module:factory     A model, or a callable without required arguments
  file.py:factory            that returns one; `module:class.method` works too.
                             This is your own code, and it is run.
  keras.applications:NAME    Built with weights=None: nothing is downloaded, and
                             the initialization is what is examined.

DATA
  data.npz                   Keys: x, or x1, x2, ..., or the names of the inputs
                             of the model; y for the loss; sample_weight.
  data.npy                   The inputs.
  package.module:function    Returns x, (x, y), (x, y, sample_weight), or an
  file.py:function           object that yields batches: a dataset, a loader or
                             a generator.
  omitted                    Standard normal inputs of the model's own shapes.

--repair METHOD
  auto                       The smallest change that works: rescales kernels of
                             the wrong size, redraws degenerate ones, resets
                             biases, and adjusts the rest to the batch. This is
                             the default.
  he, glorot, lecun,         Redraws all kernels, with the true fans and the
  orthogonal                 gain of each activation.
  lsuv, fixup                Mishkin & Matas 2016; Zhang et al. 2019.
  Changes are undone unless a new probe finds the model improved.

configuration
  [keras_initcheck] in setup.cfg of the current directory, or the table
  [tool.keras_initcheck] in pyproject.toml, may set select, ignore, fail_on,
  batch_size, seed, thresholds and exempt. The command line takes precedence.

exit status
  0    no finding at or above --fail-on
  1    at least one finding; with --baseline, at least one new finding. By
       default only errors count: findings that ruin a training. Therefore
       `initcheck train.py:model && python train.py` starts whatever can train.
       --fail-on warning also rejects what makes training slow. With --repair,
       the repaired model counts; with --dry-run, the model as it is.
  2    the command could not do its work, and reports why in one line
  130  interrupted

examples
  initcheck keras.applications:ResNet50 --batch-size 4
  initcheck train.py:make_model data.npz --log-dir logs
  initcheck model.keras --json known.json --fail-on never
  initcheck model.keras --baseline known.json
  initcheck train.py:make_model train.py:make_data --trial 50
  initcheck train.py:make_model --html report.html
  initcheck --compare before.json after.json --html compared.html
  initcheck train.py:make_model data.npz --repair --dry-run
  initcheck model.keras --repair --save repaired.keras
  initcheck --demo
"""


class Parser(argparse.ArgumentParser):
    """A parser that raises its errors, so that they are reported like all others."""

    def error(self, message: str) -> NoReturn:
        """Raises an `InitCheckError` with the message."""
        raise InitCheckError(f"{message.rstrip('.')}. See: initcheck --help")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses and checks the arguments.

    Args:
        argv: The arguments; by default those of the process.

    Raises:
        InitCheckError: They are invalid.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    _check_task(parser, arguments)
    _check_companions(parser, arguments)
    if arguments.compare is not None and len(arguments.compare) < 2:
        parser.error(
            "--compare must name two reports or more, as --json writes them. Received:"
            f" {arguments.compare[0]} alone."
        )
    if arguments.repair is not None:
        _check_repair(parser, arguments)
    return arguments


def _check_task(parser: Parser, arguments: argparse.Namespace) -> None:
    """Checks that the command is asked for exactly one thing."""
    lists = ("--list-rules", "--list-thresholds", "--schema")
    tasks = ("MODEL", "--demo", "--compare", "--explain", *lists)
    given = [task for task in tasks if _is_given(arguments, task)]
    if len(given) != 1:
        parser.error(
            "Expected one of MODEL, --demo, --compare, --explain CODE, --list-rules,"
            f" --list-thresholds and --schema. Received: {' and '.join(given) or 'none'}."
        )


def _check_companions(parser: Parser, arguments: argparse.Namespace) -> None:
    for option, companion in COMPANIONS.items():
        if _is_given(arguments, option) and not _is_given(arguments, companion):
            parser.error(f"{option} must come with {companion}. Received: {option} alone.")


def _check_repair(parser: Parser, arguments: argparse.Namespace) -> None:
    if arguments.spectrum:
        parser.error("--spectrum must come without --repair. Received: --spectrum with --repair.")
    if (arguments.save is None) != arguments.dry_run:
        received = "both" if arguments.dry_run else "neither"
        parser.error(
            "--repair must come with one of --save PATH, which keeps the repaired model, and"
            f" --dry-run, which shows the plan. Received: {received}."
        )


def _is_given(arguments: argparse.Namespace, option: str) -> bool:
    value = getattr(arguments, option.removeprefix("--").replace("-", "_").lower())
    return value is not None and value is not False


def _parser() -> Parser:
    parser = Parser(
        prog="initcheck",
        usage=USAGE,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=29, width=80
        ),
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL", nargs="?", help="the model to check, see below")
    parser.add_argument(
        "data", metavar="DATA", nargs="?", help="the data to check it with, see below"
    )
    _add_files(parser)
    _add_rules(parser)
    _add_probe(parser)
    _add_bounds(parser)
    _add_repair(parser)
    other = parser.add_argument_group("instead of a check")
    other.add_argument(
        "--demo",
        action="store_true",
        help="AlexNet on two photographs: why its ReLUs explode or die, and what helps",
    )
    other.add_argument(
        "--quick", action="store_true", help="with --demo: a narrow AlexNet, in a few seconds"
    )
    other.add_argument(
        "--compare",
        metavar="REPORT",
        nargs="+",
        help="compare reports that --json wrote; with --html, also as a page",
    )
    other.add_argument("--explain", metavar="CODE", help="explain a rule, given its code or slug")
    other.add_argument("--list-rules", action="store_true", help="list all rules")
    other.add_argument(
        "--list-thresholds",
        action="store_true",
        help="list the thresholds of the rules, with their meanings",
    )
    other.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of what --json writes"
    )
    other.add_argument("--version", action="version", version=f"initcheck {__version__}")
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    """Adds the files to write."""
    parser.add_argument(
        "--log-dir", metavar="DIR", help="write events for TensorBoard to DIR/initcheck"
    )
    parser.add_argument(
        "--html",
        metavar="PATH",
        help="write the report with its figures as one HTML file that works offline",
    )
    parser.add_argument(
        "--json",
        metavar="PATH",
        help="write the report as JSON; - writes it, and nothing else, to standard output",
    )


def _add_rules(parser: argparse.ArgumentParser) -> None:
    """Adds what concerns the rules; options of the configuration file default to `None`."""
    parser.add_argument(
        "--baseline",
        metavar="PATH",
        help="an earlier --json report; only findings that it does not contain count",
    )
    parser.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        help="the lowest severity that gives exit status 1 (default: error)",
    )
    parser.add_argument(
        "--select", metavar="CODES", type=codes, help="apply only these rules, such as IC101,IC201"
    )
    parser.add_argument("--ignore", metavar="CODES", type=codes, help="do not apply these rules")
    parser.add_argument(
        "--exempt",
        metavar="PATTERN=CODES",
        type=exemption,
        action="append",
        help=(
            "layers that these rules ignore, such as 'backbone/*=IC102' or 'head=*'; may be"
            " repeated"
        ),
    )
    parser.add_argument(
        "--threshold",
        metavar="NAME=NUMBER",
        dest="thresholds",
        type=threshold,
        action="append",
        help="set a threshold of the rules, such as sgd_gain_warning=8; may be repeated",
    )


def _add_probe(parser: argparse.ArgumentParser) -> None:
    """Adds what concerns the probe; options of the configuration file default to `None`."""
    parser.add_argument(
        "--seed",
        metavar="N",
        type=at_least(0),
        help="seed of synthetic inputs, random gradients and redrawn weights (default: 0)",
    )
    parser.add_argument(
        "--batch-size",
        metavar="N",
        type=at_least(1),
        help="number of samples, of synthetic inputs or of arrays (default: 32)",
    )
    parser.add_argument(
        "--spectrum",
        action="store_true",
        help="also estimate the singular values of the Jacobian, in about 60 more passes",
    )
    parser.add_argument(
        "--no-first-step",
        dest="first_step",
        action="store_false",
        help="do not make the optimizer's first update, which is taken back",
    )
    parser.add_argument(
        "--trial",
        metavar="N",
        type=at_least(1),
        help="also train for N steps on DATA, report whether the model learns, and undo the steps;"
        " with --repair, keep the method that learns best",
    )
    parser.add_argument(
        "--no-progress",
        dest="progress",
        action="store_false",
        help="do not show on the terminal what is being done",
    )
    parser.add_argument(
        "--no-config",
        dest="config",
        action="store_false",
        help="do not read setup.cfg and pyproject.toml",
    )
    parser.add_argument(
        "--unsafe", action="store_true", help="run Python code that the model file contains"
    )


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    """Adds what bounds the input, and how the output looks."""
    parser.add_argument(
        "--max-size",
        metavar="MIB",
        type=at_least(1),
        help=(
            "limit, in MiB, of a report's size (default: 64), and of the size to which a compressed"
            " MODEL or DATA unpacks (default: 256 and 1024)"
        ),
    )
    parser.add_argument(
        "--width",
        metavar="N",
        type=at_least(NARROWEST),
        help="columns in a line (default: the terminal's width)",
    )
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="print formulas, and notes in full instead of a line each",
    )


def _add_repair(parser: argparse.ArgumentParser) -> None:
    repair = parser.add_argument_group("repair")
    repair.add_argument(
        "--repair",
        metavar="METHOD",
        type=method,
        nargs="?",
        const=AUTO,
        help="re-initialize what drifts and probe again, see below",
    )
    repair.add_argument(
        "--save",
        metavar="PATH",
        help="write the repaired model to a .keras file, or its weights to a .weights.h5 file",
    )
    repair.add_argument(
        "--force", action="store_true", help="with --save: replace an existing file"
    )
    repair.add_argument("--dry-run", action="store_true", help="show the plan, and change nothing")
    repair.add_argument(
        "--layers",
        metavar="PATTERN",
        nargs="+",
        action="extend",
        help="change only layers whose path matches, such as 'head/*'",
    )
    repair.add_argument(
        "--mode",
        choices=MODES,
        help=(
            "what to preserve where layers widen or narrow: the signal, the gradient, or a balance"
            f" of both (default: {FORWARD})"
        ),
    )
    repair.add_argument(
        "--allow-trained",
        action="store_true",
        help="repair a model even if its optimizer has made steps",
    )
