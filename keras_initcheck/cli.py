"""The command `initcheck`: its order of work, its exit statuses, and one line for every error.

Heavy modules are imported inside functions, because `--help` has to respond at once and the backend
has to be chosen before Keras is imported.
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
from keras_initcheck.command.terminal import print_text, show_traceback
from keras_initcheck.command.user_code import reason
from keras_initcheck.outputs.cleaning import one_line, without_colors
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
"""128 + SIGINT, the convention of shells."""
CLOSED_PIPE = 141
"""128 + SIGPIPE: the reader of the output has gone, as in `initcheck ... | head`."""
DEMO_LOG_DIR = "initcheck_demo_logs"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: The arguments; by default those of the process.

    Returns:
        The exit status: 0, or 1 for findings, 2 for an error, 130 for an interrupt, 141 for a
        closed pipe.

    Side effects: `TF_CPP_MIN_LOG_LEVEL` is set unless it is set already, and `KERAS_BACKEND` if the
    configured backend is not installed; the directory of the code that MODEL and DATA name is put
    on `sys.path`.
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
        # Otherwise the interpreter's own last flush would fail with a message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = CLOSED_PIPE
    except Exception as error:
        # Python's own exit status for an error is 1, which here means findings.
        show_traceback(error, error.__traceback__)
        code = _fail(f"The command ended with a {type(error).__name__}; see the traceback above.")
    except BaseException as error:
        # A SystemExit of a layer or a generator must not set the exit status.
        code = _fail(f"MODEL and DATA must not end the command. Received: {reason(error)}")
    return code


def _run(arguments: Namespace) -> int:
    if arguments.demo:
        return _demo(arguments)
    if arguments.compare is not None:
        return _compare(arguments.compare, arguments.html, arguments.max_size)
    if arguments.model is None:
        return _list(arguments)
    return _check_model(arguments)


def _demo(arguments: Namespace) -> int:
    from keras_initcheck.command.backend import start_keras

    start_keras()
    from keras_initcheck.demo.run import run

    log_dir = arguments.log_dir or DEMO_LOG_DIR
    with _naming("--log-dir", log_dir):
        run(quick=arguments.quick, log_dir=log_dir, width=arguments.width)
    return HEALTHY


def _compare(paths: Sequence[str], html: str | None, most: int | None) -> int:
    """Prints a short table of several reports, and writes the page if one is asked for."""
    from keras_initcheck.command.baseline import read_report
    from keras_initcheck.outputs.comparison import render, titles

    reports = [read_report("--compare", path, most) for path in paths]
    pairs = list(zip(titles(paths), reports, strict=True))
    print_text(render(pairs))
    if html is not None:
        from keras_initcheck.outputs.html_report import compare_html

        with _naming("--html", html):
            compare_html(pairs, html)
    return HEALTHY


def _list(arguments: Namespace) -> int:
    from keras_initcheck.command import listings

    lists = {
        "list_rules": listings.rules,
        "list_thresholds": listings.thresholds,
        "schema": listings.schema,
    }
    if arguments.explain is not None:
        text = listings.page(arguments.explain)
    else:
        text = next(make() for name, make in lists.items() if getattr(arguments, name))
    print(text, end="")
    return HEALTHY


def _check_model(arguments: Namespace) -> int:
    """Checks or repairs a model; everything that can be checked without Keras comes first."""
    from keras_initcheck.command.backend import start_keras
    from keras_initcheck.command.baseline import compare
    from keras_initcheck.command.settings import settle

    settings = settle(arguments, Path.cwd())
    baseline = _check_files(arguments)
    start_keras()
    model, data = _open(arguments)
    report, repair = _probe(model, data, arguments, settings)
    comparison = None if baseline is None else compare(report, baseline, settings.policy)
    _write(report, arguments, comparison, repair)
    worst = report.worst if comparison is None else comparison.worst
    code = FINDINGS if _is_failure(worst, settings.fail_on) else HEALTHY
    if repair is not None and arguments.save is not None:
        _save(model, arguments, is_worth_it=repair.applied or code == HEALTHY)
    return code


def _check_files(arguments: Namespace) -> "Report | None":
    """Checks the files that the command line names, and reads the baseline if there is one."""
    from keras_initcheck.command.baseline import read_report
    from keras_initcheck.command.saving import check_place

    for role, source in (("MODEL", arguments.model), ("DATA", arguments.data)):
        if source is not None:
            check_source(role, source)
    if arguments.save is not None:
        check_place(arguments.save, is_forced=arguments.force)
    if arguments.baseline is None:
        return None
    return read_report("--baseline", arguments.baseline, arguments.max_size)


def _is_failure(worst: str | None, fail_on: str) -> bool:
    return (
        worst is not None
        and fail_on != "never"
        and SEVERITIES.index(worst) >= SEVERITIES.index(fail_on)
    )


def _fail(message: str) -> int:
    print_text(f"initcheck: error: {one_line(without_colors(message))}", sys.stderr)
    return FAILED


def _open(arguments: Namespace) -> "tuple[Any, Data]":
    from keras_initcheck.command.loading import Data, open_data, open_model
    from keras_initcheck.command.user_code import Importer, UserCodeError

    importer = Importer()
    most = arguments.max_size
    try:
        model = open_model(arguments.model, importer, is_unsafe=arguments.unsafe, most=most)
        if arguments.data is None:
            return model, Data()
        return model, open_data(arguments.data, importer, model, most)
    except UserCodeError as error:
        _show_user_traceback(error.__cause__)
        raise


def _probe(
    model: Any, data: "Data", arguments: Namespace, settings: "Settings"
) -> "tuple[Report, Repair | None]":
    """Returns the report on the model as it is in the end, and the repair if one was asked for."""
    from keras_initcheck.api import check
    from keras_initcheck.command.repairing import run_repair

    try:
        if arguments.repair is None:
            options = {
                **settings.options,
                "jacobian_spectrum": arguments.spectrum,
                "first_step": arguments.first_step,
                "progress": arguments.progress,
                "trial_steps": arguments.trial,
            }
            return check(model, data.x, data.y, sample_weight=data.sample_weight, **options), None
        repair = run_repair(model, data, arguments, settings.options)
        return repair.result, repair
    except DataError as error:
        raise DataError(
            f"DATA {arguments.data!r}: {error}" if arguments.data is not None else str(error)
        ) from error
    except (TypeError, ValueError) as error:
        raise InitCheckError(str(error)) from error


def _show_user_traceback(error: BaseException | None) -> None:
    """Prints the traceback of an error from the first frame of the user's own code on."""
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
    """Prints the report, its comparison with the baseline and the repair, and writes the files."""
    from keras_initcheck.command import repairing
    from keras_initcheck.outputs.console import print_report

    others = _beside_json(arguments)
    if repair is not None:
        print_text(repairing.introduction(repair), others, end="")
    if arguments.json == "-":
        print(report.to_json(indent=1))
    else:
        print_report(report, width=arguments.width, is_verbose=arguments.verbose)
    if repair is not None:
        print_text(repairing.conclusion(repair), others)
    if comparison is not None:
        print_text(f"\n{comparison}", others)
    _write_files(report, arguments, repair)


def _write_files(report: "Report", arguments: Namespace, repair: "Repair | None") -> None:
    if arguments.json not in (None, "-"):
        with _naming("--json", arguments.json):
            report.save_json(arguments.json)
    if arguments.html is not None:
        with _naming("--html", arguments.html):
            page = repair if repair is not None and repair.applied else report
            page.save_html(arguments.html)
    if arguments.log_dir is not None:
        _write_events(report, arguments.log_dir)
        open_it = f"tensorboard --logdir {shlex.quote(arguments.log_dir)}"
        print_text(f"For TensorBoard: {open_it}", _beside_json(arguments))


def _beside_json(arguments: Namespace) -> TextIO:
    """The file for all other text: JSON on standard output must be alone there."""
    return sys.stderr if arguments.json == "-" else sys.stdout


def _save(model: Any, arguments: Namespace, *, is_worth_it: bool) -> None:
    from keras_initcheck.command.saving import save

    if is_worth_it:
        save(model, arguments.save)
        message = f"Saved to {arguments.save}."
    else:
        message = f"Not saved to {arguments.save}: the model is unchanged and has its findings."
    print_text(f"\n{message}", _beside_json(arguments))


def _write_events(report: "Report", log_dir: str) -> None:
    from keras_initcheck.outputs.events import EventLog

    with _naming("--log-dir", log_dir), EventLog(log_dir) as log:
        log.write(report, report.profile.step)


@contextlib.contextmanager
def _naming(option: str, path: str) -> Iterator[None]:
    """Adds the option's name to an error of the operating system."""
    try:
        yield
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InitCheckError(
            f"{option} must name a place that can be written. Received: {path!r}. {why}."
        ) from error
