"""The words and the table of the story, made of measured numbers. Nothing is measured or printed
here.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from keras_initcheck.demo.alexnet import POOLED
from keras_initcheck.demo.digits import Training
from keras_initcheck.outputs.number_format import format_number
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report

QUESTION = (
    "A question from a forum: why do AlexNet's ReLU activations explode or die within a few layers,"
    " and what can be done about it?"
)
COLUMNS = (
    "Standard deviation of each layer's numbers before its activation. One N(0,1) draw serves all"
    " columns, multiplied by each method's own standard deviation: it is the same as drawing anew."
)
TRAINING = (
    "A network of 6 layers learns scikit-learn's 1797 handwritten digits; a fifth of them is kept"
    " for testing."
)
ANSWER = (
    "The answer: scale the weights once, by the number of inputs. With Var[w] = 2/n, which is"
    ' kernel_initializer="he_normal", each ReLU layer passes on signal and gradient at about the'
    " size in which they came."
)
CURVES = "Runs alexnet_* show the signal over depth, digits_* a training from its first step on:"

MEAN_SUBTRACTION = math.sqrt(1 - 1 / math.pi)
"""Standard deviation of relu(z) over its root mean square, z ~ N(0,1): 0.826, the share that is
left when the mean is subtracted.
"""

Spreads = Mapping[str, float]


def product(profile: Profile) -> str:
    """He et al.'s formula with the factors of this network."""
    sites = [site for site in profile.weight_sites if not site.is_head]
    factors = [(site.name, profile.kernels(site.layer)[0]) for site in sites]
    named = [
        f"{name} {format_number((kernel.fan_in or math.nan) * kernel.moments.variance / 2)}"
        for name, kernel in factors
    ]
    return (
        "Why: each ReLU layer multiplies the signal's mean square by ½ n Var[w] (He et al. 2015),"
        f" where n is the number of a unit's inputs: {', '.join(named)}. Nothing but a factor near"
        " 1 survives being multiplied so often."
    )


def table(columns: Mapping[str, Spreads]) -> list[str]:
    """A line for each layer, a column for each way."""
    layers = list(next(iter(columns.values())))
    cells = {
        title: [format_number(spreads[layer]) for layer in layers]
        for title, spreads in columns.items()
    }
    widths = {title: max(len(title), *map(len, texts)) for title, texts in cells.items()}
    lines = [["layer", *(title.rjust(widths[title]) for title in columns)]]
    lines += [
        [layer.ljust(5), *(cells[title][row].rjust(widths[title]) for title in columns)]
        for row, layer in enumerate(layers)
    ]
    return ["  " + "   ".join(line) for line in lines]


def verdicts(columns: Mapping[str, Spreads]) -> dict[str, str]:
    """A sentence or two on each column."""
    normal, subtracted, glorot, _ = (list(spreads.values()) for spreads in columns.values())
    growth = f"{min(_steps(normal)):.0f} to {max(_steps(normal)):.0f}"
    kept = (subtracted[-1] / normal[-1]) ** (1 / (len(normal) - 1))
    pooled, plain = _split(columns["He"])
    texts = (
        f"Every layer multiplies the numbers by {growth}.",
        (
            f"After each ReLU. It takes {1 - kept:.0%} off at each layer (in theory"
            f" {1 - MEAN_SUBTRACTION:.0%}: the mean is that small a part of what a ReLU passes on),"
            f" against a growth by {growth}. Millions never become thousands: over the whole"
            f" network it is a factor of {normal[-1] / subtracted[-1]:.1f}."
        ),
        (
            "Var[w] = 2/(n_in + n_out), made for units that are linear around 0. A ReLU drops half"
            " of the signal, which leaves ½ n Var[w] = ½ where n_in = n_out: the mean square"
            f" halves, layer by layer. Here each layer leaves {_per_step(glorot):.2f} of the"
            f" numbers' size, pooling included, and {len(glorot) - 1} of them"
            f" {glorot[-1] / glorot[0]:.2g}. Eight layers bear that, thirty do not (He et al."
            " 2015)."
        ),
        (
            "Var[w] = 2/n_in, so that ½ n Var[w] = 1. A layer multiplies the numbers by"
            f" {_range(plain)}, and by {_range(pooled)} where a max pooling comes in between and"
            " picks the larger ones: a drift of the architecture, and harmless."
        ),
    )
    return dict(zip(columns, texts, strict=True))


def trained(result: Training) -> str:
    """How a training ended, and what `InitCheck` said before it began."""
    loss = "the loss became NaN" if math.isnan(result.loss) else f"loss {result.loss:.3g}"
    return f"{result.accuracy:.1%} of the test images right, {loss}. {_said(result.report)}"


def _said(report: Report | None) -> str:
    if report is None or report.ok:
        return (
            "InitCheck, before the first step: healthy." if report else "InitCheck stepped aside."
        )
    names = dict.fromkeys(
        f"{finding.code} {finding.slug}"
        for finding in report.findings
        if finding.severity != "info"
    )
    return f"InitCheck, before the first step: {', '.join(names)}."


def _steps(spreads: Sequence[float]) -> list[float]:
    return [after / before for before, after in pairwise(spreads)]


def _per_step(spreads: Sequence[float]) -> float:
    return math.exp(math.log(spreads[-1] / spreads[0]) / (len(spreads) - 1))


def _split(spreads: Spreads) -> tuple[list[float], list[float]]:
    """The steps from layer to layer: those over a max pooling, and the others."""
    steps = [(before, spreads[after] / spreads[before]) for before, after in pairwise(spreads)]
    return [step for layer, step in steps if layer in POOLED], [
        step for layer, step in steps if layer not in POOLED
    ]


def _range(factors: Sequence[float]) -> str:
    return f"{min(factors):.2f} to {max(factors):.2f}"
