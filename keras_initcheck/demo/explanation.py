"""The demonstration's texts and table, made of measured numbers.

Nothing is measured or printed here.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from keras_initcheck.demo.alexnet import POOLED
from keras_initcheck.demo.digits import Training
from keras_initcheck.records.number_format import format_number
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report

QUESTION = (
    "A question from a forum: why do AlexNet's ReLU activations explode or die within a few layers,"
    " and how can that be prevented?"
)
COLUMNS = (
    "Standard deviation of each layer's pre-activations. All columns share one N(0,1) draw of the"
    " weights, multiplied by the standard deviation that each method prescribes, which is"
    " equivalent to a new draw."
)
TRAINING = (
    "A network of 6 layers is trained on scikit-learn's 1797 handwritten digits; a fifth of them is"
    " held back for testing."
)
ANSWER = (
    "The answer: scale the weights once, by the number of inputs. With Var[w] = 2/n, which is"
    ' kernel_initializer="he_normal", each ReLU layer roughly preserves the size of the signal and'
    " of the gradient."
)
CURVES = (
    "The runs alexnet_* show the signal over depth, the runs digits_* a training from its first"
    " step on:"
)

MEAN_SUBTRACTION = math.sqrt(1 - 1 / math.pi)
"""Standard deviation of relu(z) divided by its root mean square, z ~ N(0,1): 0.826.

This is the fraction of a ReLU's output that remains when its mean is subtracted.
"""

Spreads = Mapping[str, float]


def variance_factors(profile: Profile) -> str:
    """Describes He et al.'s formula with the factors of this network."""
    sites = [site for site in profile.weight_sites if not site.is_head]
    kernels = [(site.name, profile.kernels(site.layer)[0]) for site in sites]
    halves = [
        (name, (kernel.fan_in or math.nan) * kernel.moments.variance / 2)
        for name, kernel in kernels
    ]
    factors = [f"{name} {format_number(math.sqrt(half))}" for name, half in halves]
    return (
        "Why: each ReLU layer multiplies the signal's root mean square by the root of ½ n Var[w]"
        " (He et al. 2015), where n is the number of inputs of a unit:"
        f" {', '.join(factors)}. The product of so many factors stays in range only if each of them"
        " is close to 1."
    )


def table(columns: Mapping[str, Spreads]) -> list[str]:
    """Lays out a table with a line for each layer and a column for each method."""
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
    """Describes each column in a few sentences, by its title.

    Args:
        columns: Standard deviations by layer, for N(0,1), N(0,1) with the mean subtracted, Glorot
            and He, in this order.
    """
    normal, subtracted, glorot, he = columns.values()
    texts = (
        f"Each layer multiplies the standard deviation by {_growth(normal)}.",
        _subtracted_mean(normal, subtracted),
        _glorot(glorot),
        _he(he),
    )
    return dict(zip(columns, texts, strict=True))


def training_result(result: Training) -> str:
    """Describes how a training ended, and what `InitCheck` reported before it began."""
    loss = "the loss became NaN" if math.isnan(result.loss) else f"loss {result.loss:.3g}"
    return (
        f"{result.accuracy:.1%} of the test images classified correctly, {loss}."
        f" {_first_report(result.report)}"
    )


def _first_report(report: Report | None) -> str:
    if report is None:
        return "InitCheck made no report."
    codes = dict.fromkeys(
        f"{finding.code} {finding.slug}"
        for finding in report.findings
        if finding.severity != "info"
    )
    return f"InitCheck reported before the first step: {', '.join(codes) or 'healthy'}."


def _subtracted_mean(normal: Spreads, subtracted: Spreads) -> str:
    first, last = [[*spreads.values()][-1] for spreads in (normal, subtracted)]
    kept = (last / first) ** (1 / (len(normal) - 1))
    return (
        f"After each ReLU, the mean is subtracted. This removes {1 - kept:.0%} at each layer (in"
        f" theory {1 - MEAN_SUBTRACTION:.0%}, because the mean is only a part of a ReLU's output),"
        f" while the layer itself multiplies by {_growth(normal)}. Over the whole network it makes"
        f" a factor of {first / last:.1f}, which does not turn millions into thousands."
    )


def _glorot(glorot: Spreads) -> str:
    values = list(glorot.values())
    num_steps = len(values) - 1
    per_layer = math.exp(math.log(values[-1] / values[0]) / num_steps)
    return (
        "Var[w] = 2/(n_in + n_out), derived for units that are linear around 0. A ReLU discards"
        " half of the signal, so that ½ n Var[w] = ½ where n_in = n_out, and the mean square halves"
        f" at each layer. Here each layer multiplies the standard deviation by {per_layer:.2f},"
        f" pooling included, and {num_steps} layers by {values[-1] / values[0]:.2g}. A network of"
        " eight layers tolerates that; one of thirty does not (He et al. 2015)."
    )


def _he(he: Spreads) -> str:
    steps = [(before, he[after] / he[before]) for before, after in pairwise(he)]
    pooled = [step for layer, step in steps if layer in POOLED]
    plain = [step for layer, step in steps if layer not in POOLED]
    return (
        "Var[w] = 2/n_in, so that ½ n Var[w] = 1. Each layer multiplies the standard deviation by"
        f" {_range(plain)}, and by {_range(pooled)} across a max pooling, which picks the larger"
        " values: a drift that is due to the architecture, and harmless."
    )


def _growth(spreads: Spreads) -> str:
    """The smallest and the largest factor from one layer to the next."""
    steps = [after / before for before, after in pairwise(spreads.values())]
    return f"{min(steps):.0f} to {max(steps):.0f}"


def _range(factors: Sequence[float]) -> str:
    return f"{min(factors):.2f} to {max(factors):.2f}"
