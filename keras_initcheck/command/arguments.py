"""The arguments of the command `initcheck` and its help. Nothing is imported here that takes
time.
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
REPAIR_OPTIONS = ("--save", "--force", "--dry-run", "--layers", "--mode", "--allow-trained")
"""Options that mean nothing without --repair."""

USAGE = """initcheck MODEL [DATA] [options]
       initcheck MODEL [DATA] --repair [METHOD] (--save PATH | --dry-run)
       initcheck --demo [--quick] [--log-dir DIR]
       initcheck --compare REPORT REPORT [...] [--html PATH]
       initcheck --explain CODE | --list-rules | --list-thresholds"""

DESCRIPTION = """\
Probes a Keras model with one batch before training, and tells which layers
lose or blow up the signal and its gradient, and why. The model is not changed,
unless --repair asks for it, and then its file is not, unless --force does.
"""

EPILOG = """\
MODEL
  model.keras, model.h5      A file that Keras wrote. Python code in it (Lambda
                             layers) is refused, unless --unsafe says otherwise.
  package.module:factory     A callable without required arguments that returns
  file.py:factory            a model, or a model; `module:class.method` works.
                             It is your code, and is run.
  keras.applications:NAME    Built with weights=None: nothing is downloaded, and
                             the initialisation is what is examined.

DATA
  data.npz                   Keys x, or x1, x2, ..., or the names of the model's
                             inputs; y for the loss; sample_weight.
  data.npy                   The inputs.
  package.module:function    Returns x, (x, y), (x, y, sample_weight), or what
  file.py:function           yields batches: a dataset, loader or generator.
  none                       Standard normal inputs of the model's own shapes.

--repair METHOD
  auto                       The least that works: multiplies kernels of a wrong
                             size, draws degenerate ones anew, resets biases,
                             settles on the batch what is left. The default.
  he, glorot, lecun,         Draws all kernels anew, with true fans and the gain
  orthogonal                 of their activations.
  lsuv, fixup                Mishkin & Matas 2016; Zhang et al. 2019.
  What a new probe does not find better is undone.

configuration
  [keras_initcheck] in setup.cfg of the current directory (as a table of
  pyproject.toml: [tool.keras_initcheck]) may hold select, ignore, fail_on,
  batch_size, seed, thresholds and exempt. What the command line says wins.

exit status
  0    no finding at or above --fail-on
  1    at least one; with --baseline, one that is new. By default only an error
       counts: something that ruins a training. So
       `initcheck train.py:model && python train.py` starts what can train.
       --fail-on warning also stops for what makes it slow. With --repair it is
       the repaired model that counts; with --dry-run the model as it is.
  2    the command could not do its work, and says why in one line
  130  interrupted

examples
  initcheck keras.applications:ResNet50 --batch-size 4
  initcheck train.py:make_model data.npz --log-dir logs
  initcheck model.keras --json known.json --fail-on never
  initcheck model.keras --baseline known.json
  initcheck train.py:make_model --html report.html
  initcheck --compare before.json after.json --html compared.html
  initcheck train.py:make_model data.npz --repair --dry-run
  initcheck model.keras --repair --save repaired.keras
  initcheck --demo
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are exceptions, so that they are reported like every other."""

    def error(self, message: str) -> NoReturn:
        """Raises what is wrong with the arguments."""
        raise InitCheckError(f"{message} (initcheck --help shows what it takes)")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, checked.

    Raises:
        InitCheckError: They make no sense.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    is_comparison = arguments.compare is not None
    listings = [arguments.explain is not None, arguments.list_rules, arguments.list_thresholds]
    chosen = [arguments.model is not None, arguments.demo, is_comparison, *listings]
    if sum(chosen) != 1:
        received = "none" if not any(chosen) else "several"
        parser.error(
            "Expected one of MODEL, --demo, --compare, --explain CODE, --list-rules and"
            f" --list-thresholds. Received: {received}."
        )
    if is_comparison and len(arguments.compare) < 2:
        parser.error(
            "--compare must name two reports or more, as --json writes them. Received:"
            f" {arguments.compare[0]} alone."
        )
    if arguments.spectrum and (arguments.model is None or arguments.repair is not None):
        received = "no MODEL" if arguments.model is None else "--repair"
        parser.error(
            "--spectrum must come with MODEL and without --repair. Received: --spectrum with"
            f" {received}."
        )
    if arguments.quick and not arguments.demo:
        parser.error("--quick must come with --demo. Received: --quick alone.")
    _check_repair(parser, arguments)
    return arguments


def _check_repair(parser: Parser, arguments: argparse.Namespace) -> None:
    if arguments.repair is None:
        given = [
            name
            for name in REPAIR_OPTIONS
            if getattr(arguments, name.removeprefix("--").replace("-", "_"))
        ]
        if given:
            parser.error(f"{given[0]} must come with --repair. Received: {given[0]} alone.")
    elif arguments.model is None:
        parser.error(
            "--repair must come with MODEL, the model to repair. Received: --repair without one."
        )
    elif (arguments.save is None) != arguments.dry_run:
        received = "both" if arguments.dry_run else "neither"
        parser.error(
            "--repair must come with one of --save PATH, which keeps the repaired model, and"
            f" --dry-run, which shows what would be done. Received: {received}."
        )
    elif arguments.force and arguments.save is None:
        parser.error("--force must come with --save. Received: --force alone.")


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
    parser.add_argument("model", metavar="MODEL", nargs="?", help="what to check, see below")
    parser.add_argument("data", metavar="DATA", nargs="?", help="what to check it with, see below")
    _add_options(parser)
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
        help="reports that --json wrote, beside each other; with --html as a page",
    )
    other.add_argument("--explain", metavar="CODE", help="what a rule means")
    other.add_argument("--list-rules", action="store_true", help="all rules, a line each")
    other.add_argument(
        "--list-thresholds",
        action="store_true",
        help="the numbers that rules judge by, and what they mean",
    )
    other.add_argument("--version", action="version", version=f"initcheck {__version__}")
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Options that a configuration file may hold too are `None` where they are not given."""
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
        help="write the report as JSON; - for standard output, then with nothing else on it",
    )
    parser.add_argument(
        "--baseline",
        metavar="PATH",
        help="an earlier --json report; only findings that it lacks count",
    )
    parser.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        help="the least severity that gives exit status 1 (default: error)",
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
            "layers that these rules leave alone, such as 'backbone/*=IC102' or 'head=*'; may be"
            " repeated"
        ),
    )
    parser.add_argument(
        "--threshold",
        metavar="NAME=NUMBER",
        dest="thresholds",
        type=threshold,
        action="append",
        help="judge by this number, such as sgd_gain_warning=8; may be repeated",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=at_least(0),
        help="seed of synthetic inputs, gradient and redrawn weights (default: 0)",
    )
    parser.add_argument(
        "--batch-size",
        metavar="N",
        type=at_least(1),
        help="samples of synthetic inputs or arrays (default: 32)",
    )
    parser.add_argument(
        "--spectrum",
        action="store_true",
        help="estimate the singular values of the Jacobian too, in some 60 more passes",
    )
    parser.add_argument(
        "--no-config",
        dest="config",
        action="store_false",
        help="leave setup.cfg and pyproject.toml unread",
    )
    parser.add_argument(
        "--unsafe", action="store_true", help="run Python code that is stored in the model file"
    )
    parser.add_argument(
        "--max-size",
        metavar="MIB",
        type=at_least(1),
        help=(
            "read no larger report (default: 64), and no compressed MODEL or DATA that unpacks to"
            " more (default: 256 and 1024)"
        ),
    )
    parser.add_argument(
        "--width",
        metavar="N",
        type=at_least(NARROWEST),
        help="cells in a line (default: the terminal's)",
    )


def _add_repair(parser: argparse.ArgumentParser) -> None:
    repair = parser.add_argument_group("repair")
    repair.add_argument(
        "--repair",
        metavar="METHOD",
        type=method,
        nargs="?",
        const=AUTO,
        help="re-initialise what drifts and probe again, see below",
    )
    repair.add_argument(
        "--save",
        metavar="PATH",
        help="write the repaired model to a .keras file, or its weights to a .weights.h5 file",
    )
    repair.add_argument(
        "--force", action="store_true", help="with --save: replace a file that exists"
    )
    repair.add_argument(
        "--dry-run", action="store_true", help="show what would be done, and change nothing"
    )
    repair.add_argument(
        "--layers",
        metavar="PATTERN",
        nargs="+",
        action="extend",
        help="the only layers that may change, by path, such as 'head/*'",
    )
    repair.add_argument(
        "--mode",
        choices=MODES,
        help=(
            "what keeps its size where layers widen or narrow: signal, gradient, or both (default:"
            f" {FORWARD})"
        ),
    )
    repair.add_argument(
        "--allow-trained", action="store_true", help="repair a model whose optimizer has made steps"
    )
