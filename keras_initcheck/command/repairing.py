"""`--repair`: runs it, and tells on the terminal what was, what was done, and what came of it."""

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
"""Findings of the model before its repair that are listed; --html and --json without --repair have
them all.
"""


def repaired(model: Any, data: Data, arguments: Namespace, options: Mapping[str, Any]) -> Repair:
    """What became of the repair that the command line asks for.

    Args:
        model: The model, which is changed.
        data: What `repair` takes behind the model.
        arguments: The command line.
        options: Arguments of `check`, as the settings give them.

    Raises:
        ValueError: As `repair`, in the command line's words.
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
            **options,
        )
    except ValueError as error:
        raise ValueError(
            str(error)
            .replace("allow_trained=True", "--allow-trained")
            .replace("`layers`", "--layers")
        ) from error


def introduction(outcome: Repair) -> str:
    """What stands above the report: of a changed model, what was wrong and what was done. Else
    nothing.
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
    """What stands below it: before and after beside each other, or what was planned or tried."""
    if outcome.applied:
        return "\n" + comparison.render([("before", outcome.before), ("after", outcome.result)])
    return "\n".join(["", *_done("Plan" if outcome.after is None else "Repair", outcome)])


def _short(report: Report) -> Iterator[str]:
    yield f"  {clean(summary.title(report.profile))}"
    loud = [finding for finding in report.findings if finding.severity != "info"]
    for finding in loud[:MOST_FINDINGS]:
        yield clean(
            f"  {finding.severity} {finding.code} {finding.slug}:"
            f" {finding.site or finding.layer or 'whole network'}"
        )
    if len(loud) > MOST_FINDINGS:
        yield f"  and {len(loud) - MOST_FINDINGS} more"


def _done(title: str, outcome: Repair) -> Iterator[str]:
    yield title
    for line in str(outcome).splitlines():
        yield f"  {clean(line)}"
