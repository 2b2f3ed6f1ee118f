"""A probe in sentences: its model, its gains from end to end, and how it was measured."""

import math
import statistics
from collections import Counter
from collections.abc import Callable

from keras_initcheck.records.number_format import (
    format_change,
    format_count,
    format_number,
    format_power_of_ten,
    format_share,
)
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats

ON_THE_WAY_BACK = "on the gradient's way back: "
"""Start of a reason that concerns the gradient's prediction alone."""


def title(profile: Profile) -> str:
    """`model: 3 weight layers, 12k parameters, step 0`."""
    num_layers = len({site.layer for site in profile.weight_sites})
    num_parameters = sum(math.prod(weight.shape) for weight in profile.weights)
    layers = f"{num_layers} weight layer{'' if num_layers == 1 else 's'}"
    return (
        f"{profile.model}: {layers}, {format_count(num_parameters)} parameters, step {profile.step}"
    )


def whole_network(profile: Profile) -> str:
    """The gains of the whole network in a sentence, or `""` if neither was measured."""
    forward, backward = end_to_end_gains(profile, format_change)
    gains = [f"signal {forward}"] * bool(forward) + [f"gradient {backward}"] * bool(backward)
    return f"First to last hidden layer: {', '.join(gains)}." if gains else ""


def spectrum(profile: Profile) -> str:
    """The Jacobian's singular values in a sentence, or `""` where they were not measured."""
    found = profile.spectrum
    if found is None:
        return ""
    mean = f"mean square {format_number(found.mean_square)} ± {format_number(found.standard_error)}"
    if found.largest is None:
        return f"Singular values from inputs to outputs: {mean}; {found.note}."
    times = (
        ""
        if found.mean_square <= 0
        else (
            f", {format_number(found.largest / math.sqrt(found.mean_square))} times their root mean"
            " square"
        )
    )
    return (
        f"Singular values from inputs to outputs: {mean}, the largest"
        f" {format_number(found.largest)} (± {format_number(found.largest_error)}){times}; all"
        " alike is ideal."
    )


def first_step(profile: Profile) -> str:
    """The first step in a sentence, or `""` where none was made."""
    found = profile.first_step
    if found is None:
        return ""
    updates = [each for each in found.relative_updates if not math.isnan(each)]
    size = (
        f", {format_number(statistics.median(updates))} of each weight (median)" if updates else ""
    )
    plan = "" if found.planned_steps is None else f" of {format_count(found.planned_steps)}"
    momentum = f", momentum {found.momentum:.3g}" if found.momentum else ""
    height = " (the height of its warm-up)" if found.warms_up else ""
    below = [each for each in found.shares_below_epsilon if not math.isnan(each)]
    tiny = (
        f"; {format_share(statistics.median(below))} of each gradient (median) is below the"
        " optimizer's epsilon"
        if below and statistics.median(below) > 0
        else ""
    )
    return (
        f"First step{plan}, {profile.optimizer} at rate {found.learning_rate:.3g}{height}"
        f"{momentum}{size}: loss {format_number(found.loss_before)} to"
        f" {format_number(found.loss_after)}, promised {format_number(found.promised_change, 9)}"
        f"{tiny}."
    )


def end_to_end_gains(
    profile: Profile, show: Callable[[float], str] = format_power_of_ten
) -> tuple[str, str]:
    """The gain of signal and gradient between the first and the last hidden layer.

    They are factors on the root mean square.

    `nan` where NaN or infinity comes in on the way, `""` where it was not measured.
    """
    hidden = [site for site in profile.weight_sites if not site.is_head]
    signals, gradients = (
        [site.activations.h for site in hidden],
        [site.gradients.h for site in hidden],
    )
    gains = ((profile.log10_forward_gain, signals), (profile.log10_backward_gain, gradients))
    forward, backward = (
        (
            "nan"
            if any(moments and not moments.is_finite for moments in found)
            else ("" if gain is None else show(gain / 2.0))
        )
        for gain, found in gains
    )
    return forward, backward


def not_probed(profile: Profile) -> list[tuple[str, str]]:
    """`(path, reason)` of everything left out, and of each cause of missing predictions."""
    names = {site.name for site in profile.sites}
    causes = Counter(_cause(site, names) for site in profile.sites if site.unpredicted is not None)
    left_out = {path for path, _ in profile.not_probed}
    reported = {reason.partition(";")[0] for _, reason in profile.not_probed}
    predictions = [
        (name, f"signal or gradient is not predicted{_more(count - 1)}: {reason}")
        for (name, reason), count in causes.items()
        if reason not in reported and (count > 1 or name not in left_out)
    ]
    return [*profile.not_probed, *predictions]


def _cause(site: SiteStats, names: set[str]) -> tuple[str, str]:
    """The site that a prediction fails at, and why: its own name does not precede the reason."""
    text = (site.unpredicted or "").removeprefix(ON_THE_WAY_BACK)
    name, _, reason = text.partition(": ")
    return (name, reason) if reason and name in names else (site.name, text)


def _more(count: int) -> str:
    return f", and {count} site{'s' * (count > 1)} because of it" if count else ""


def how_measured(profile: Profile) -> str:
    """Samples, data, backend, precision, loss and time."""
    loss = "" if profile.loss is None else f"loss {format_number(profile.loss)}"
    parts = (
        profile.source,
        profile.backend,
        profile.dtype,
        loss,
        f"{format_number(profile.seconds)} s",
    )
    return f"Measured on {profile.batch_size} samples: {', '.join(part for part in parts if part)}."
