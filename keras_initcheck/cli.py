"""The command `initcheck`: what it does in which order, its exit codes, and one line for every
error. Glue only.

Imports of what is heavy stand inside functions: `--help` has to answer at once, and the backend is
chosen before Keras is imported.
"""

import contextlib
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from keras_initcheck.command.arguments import parse
from keras_initcheck.command.sources import check_source
from keras_initcheck.command.terminal import say, show_traceback
from keras_initcheck.command.user_code import reason
from keras_initcheck.outputs.cleaning import one_line, without_colours
from keras_initcheck.records.errors import DataError, InitCheckError
from keras_initcheck.records.finding import SEVERITIES

if TYPE_CHECKING:
    from keras_initcheck.command.baseline import Comparison
    from keras_initcheck.command.loading import Data
    from keras_initcheck.command.settings import Settings
    from keras_initcheck.records.report import Report
    from keras_initcheck.repairs.repair import Repair

HEALTHY, FINDINGS, FAILED = 0, 1, 2
INTERRUPTED = 130
"""128 + SIGINT, as shells count."""
CLOSED_PIPE = 141
"""128 + SIGPIPE: whoever read the output has gone, as in `initcheck ... | head`."""
DEMO_LOG_DIR = "initcheck_demo_logs"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Its arguments; those of the process unless given.

    Returns:
        0, or 1 for findings, 2 for an error, 130 for an interrupt, 141 for a closed pipe.

    Side effects: `TF_CPP_MIN_LOG_LEVEL` is set where it is not, and `KERAS_BACKEND` where the
    configured backend is not installed; the directory of the code that MODEL and DATA name goes on
    `sys.path`.
    """
    try:
        arguments = parse(argv)
    except InitCheckError as error:
        return _fail(str(error))
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except InitCheckError as error:
        code = _fail(str(error))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # or the interpreter's own last flush would complain
        code = CLOSED_PIPE
    except Exception as error:  # left alone it would give exit status 1, which says "findings"
        show_traceback(error, error.__traceback__)
        code = _fail(
            f"The command ended with a {type(error).__name__}; the traceback above says where."
        )
    except BaseException as error:  # SystemExit of a layer or a generator: a status of its own would say something else
        code = _fail(
            f"MODEL or DATA must let the command come to its end. Received: {reason(error)}"
        )
    return code


def _run(arguments: Namespace) -> int:
    if arguments.demo:
        return _demo(arguments)
    if arguments.compare is not None:
        _compare(arguments.compare, arguments.html, arguments.max_size)
        return HEALTHY
    if arguments.model is None:
        return _list(arguments)
    from keras_initcheck.command.backend import start_keras
    from keras_initcheck.command.baseline import compare, read_report
    from keras_initcheck.command.saving import check_place
    from keras_initcheck.command.settings import settle

    settings = settle(arguments, Path.cwd())
    for role, source in (("MODEL", arguments.model), ("DATA", arguments.data)):
        if source is not None:
            check_source(role, source)
    if arguments.save is not None:
        check_place(arguments.save, is_forced=arguments.force)
    baseline = (
        read_report("--baseline", arguments.baseline, arguments.max_size)
        if arguments.baseline is not None
        else None
    )
    start_keras()
    model, data = _open(arguments)
    report, repair = _check(model, data, arguments, settings)
    comparison = compare(report, baseline, settings.policy) if baseline is not None else None
    _write(report, arguments, comparison, repair)
    worst = report.worst if comparison is None else comparison.worst
    code = FINDINGS if _is_failure(worst, settings.fail_on) else HEALTHY
    if repair is not None and arguments.save is not None:
        _save(model, arguments, is_worth_it=repair.applied or code == HEALTHY)
    return code


def _demo(arguments: Namespace) -> int:
    from keras_initcheck.command.backend import start_keras

    start_keras()
    from keras_initcheck.demo.run import run

    log_dir = arguments.log_dir or DEMO_LOG_DIR
    with _naming("--log-dir", log_dir):
        run(quick=arguments.quick, log_dir=log_dir, width=arguments.width)
    return HEALTHY


def _list(arguments: Namespace) -> int:
    from keras_initcheck.command import listings

    if arguments.explain is not None:
        print(listings.page(arguments.explain), end="")
    else:
        print(listings.rules() if arguments.list_rules else listings.thresholds(), end="")
    return HEALTHY


def _is_failure(worst: str | None, fail_on: str) -> bool:
    return (
        worst is not None
        and fail_on != "never"
        and SEVERITIES.index(worst) >= SEVERITIES.index(fail_on)
    )


def _fail(message: str) -> int:
    say(f"initcheck: error: {one_line(without_colours(message))}", sys.stderr)
    return FAILED


def _open(arguments: Namespace) -> "tuple[Any, Data]":
    from keras_initcheck.command.loading import Data, open_data, open_model
    from keras_initcheck.command.user_code import Importer, UserCodeError

    importer = Importer()
    try:
        model = open_model(
            arguments.model, importer, is_unsafe=arguments.unsafe, most=arguments.max_size
        )
        return model, (
            open_data(arguments.data, importer, model, arguments.max_size)
            if arguments.data is not None
            else Data()
        )
    except UserCodeError as error:
        _show_traceback(error.__cause__)
        raise


def _check(
    model: Any, data: "Data", arguments: Namespace, settings: "Settings"
) -> "tuple[Report, Repair | None]":
    """The report on the model, of a repaired one as it is then, and what became of the repair."""
    from keras_initcheck.api import check
    from keras_initcheck.command.repairing import repaired

    if sys.stderr.isatty():
        say(f"probing {model.name} ...", sys.stderr)
    try:
        if arguments.repair is None:
            options = {**settings.options, "jacobian_spectrum": arguments.spectrum}
            return check(model, data.x, data.y, sample_weight=data.sample_weight, **options), None
        outcome = repaired(model, data, arguments, settings.options)
        return outcome.result, outcome
    except DataError as error:
        raise DataError(
            f"DATA {arguments.data!r}: {error}" if arguments.data is not None else str(error)
        ) from error
    except (TypeError, ValueError) as error:
        raise InitCheckError(str(error)) from error


def _show_traceback(error: BaseException | None) -> None:
    """The traceback of what the user's code raised, from where that code begins."""
    if error is None:
        return
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith(
        ("keras_initcheck.", "importlib")
    ):
        frames = frames.tb_next
    show_traceback(error, frames)


def _write(
    report: "Report", arguments: Namespace, comparison: "Comparison | None", repair: "Repair | None"
) -> None:
    """The report, what is new in it and what was repaired to the terminal, and the report to the
    files that were asked for.
    """
    from keras_initcheck.command import repairing
    from keras_initcheck.outputs.console import print_report

    is_pure = arguments.json == "-"
    others = _beside_json(arguments)
    if repair is not None:
        say(repairing.introduction(repair), others, end="")
    if is_pure:
        print(report.to_json(indent=1))
    else:
        print_report(report, width=arguments.width)
    if repair is not None:
        say(repairing.conclusion(repair), others)
    if comparison is not None:
        say(f"\n{comparison}", others)
    if arguments.json is not None and not is_pure:
        with _naming("--json", arguments.json):
            report.save_json(arguments.json)
    if arguments.html is not None:
        with _naming("--html", arguments.html):
            (repair if repair is not None and repair.applied else report).save_html(arguments.html)
    if arguments.log_dir is not None:
        _write_events(report, arguments.log_dir)
        say(f"For TensorBoard: tensorboard --logdir {shlex.quote(arguments.log_dir)}", others)


def _beside_json(arguments: Namespace) -> TextIO:
    """Where text goes that is not the report: standard output belongs to the JSON where that goes
    there.
    """
    return sys.stderr if arguments.json == "-" else sys.stdout


def _save(model: Any, arguments: Namespace, *, is_worth_it: bool) -> None:
    from keras_initcheck.command.saving import save

    if not is_worth_it:
        say(
            f"\nNot saved to {arguments.save}: the model is what it was, with its findings.",
            _beside_json(arguments),
        )
        return
    save(model, arguments.save)
    say(f"\nSaved to {arguments.save}.", _beside_json(arguments))


def _compare(paths: Sequence[str], html: str | None, most: int | None) -> None:
    """Several reports beside each other: a short table to the terminal, and the page that was asked
    for.
    """
    from keras_initcheck.command.baseline import read_report
    from keras_initcheck.outputs.comparison import render, titles

    reports = [read_report("--compare", path, most) for path in paths]
    pairs = list(zip(titles(paths), reports, strict=True))
    say(render(pairs))
    if html is not None:
        from keras_initcheck.outputs.html_report import compare_html

        with _naming("--html", html):
            compare_html(pairs, html)


def _write_events(report: "Report", log_dir: str) -> None:
    from keras_initcheck.outputs.events import EventLog

    with _naming("--log-dir", log_dir), EventLog(log_dir) as log:
        log.write(report, report.profile.step)


@contextlib.contextmanager
def _naming(option: str, path: str) -> Iterator[None]:
    """Names the option in what the operating system says against its path."""
    try:
        yield
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InitCheckError(
            f"{option} must name a place that can be written. Received: {path!r}. {why}."
        ) from error
