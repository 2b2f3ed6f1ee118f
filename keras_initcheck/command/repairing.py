"""Runs `--repair`, and describes the state before, the changes and the result."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from keras_initcheck.api import repair
from keras_initcheck.command.loading import Data
from keras_initcheck.outputs import comparison, summary
from keras_initcheck.outputs.cleaning import clean
from keras_initcheck.records.report import Report
from keras_initcheck.repairs.repair import Repair
from keras_initcheck.theory.fans import FORWARD

MOST_FINDINGS = 12
"""Limit of the listed findings of the model before its repair.

--html, and --json without --repair, contain all of them.
"""


def run_repair(model: Any, data: Data, arguments: Namespace, options: Mapping[str, Any]) -> Repair:
    """Repairs the model as the command line asks.

    Args:
        model: The model, which is changed.
        data: The arguments of `repair` that follow the model.
        arguments: The command line.
        options: Keyword arguments of `check`, from the settings.

    Raises:
        ValueError: As `repair`, with the names of the command line's options.
    """
    try:
        return repair(
            model,
            data.x,
            data.y,
            sample_weight=data.sample_weight,
            method=arguments.repair,
            mode=arguments.mode or FORWARD,
            layers=arguments.layers,
            allow_trained=arguments.allow_trained,
            dry_run=arguments.dry_run,
            first_step=arguments.first_step,
            progress=arguments.progress,
            trial_steps=arguments.trial,
            **options,
        )
    except ValueError as error:
        raise ValueError(
            str(error)
            .replace("allow_trained=True", "--allow-trained")
            .replace("`layers`", "--layers")
        ) from error


def introduction(outcome: Repair) -> str:
    """Returns the text above the report: the findings before the repair, and the changes.

    It is empty if nothing was changed.
    """
    if not outcome.applied:
        return ""
    return "\n".join(
        [
            "Before the repair",
            *_short(outcome.before),
            "",
            *_done("Repair", outcome),
            "",
            "After the repair",
            "",
        ]
    )


def conclusion(outcome: Repair) -> str:
    """Returns the text below the report: a comparison, or the plan if nothing was changed."""
    if outcome.applied:
        return "\n" + comparison.render([("before", outcome.before), ("after", outcome.result)])
    return "\n".join(["", *_done("Plan" if outcome.after is None else "Repair", outcome)])


def _short(report: Report) -> Iterator[str]:
    yield f"  {clean(summary.title(report.profile))}"
    loud = [finding for finding in report.findings if finding.severity != "info"]
    for finding in loud[:MOST_FINDINGS]:
        yield clean(f"  {finding.severity} {finding.code} {finding.slug}: {finding.place}")
    if len(loud) > MOST_FINDINGS:
        yield f"  and {len(loud) - MOST_FINDINGS} more"


def _done(title: str, outcome: Repair) -> Iterator[str]:
    yield title
    for line in str(outcome).splitlines():
        yield f"  {clean(line)}"
