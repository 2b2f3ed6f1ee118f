"""The columns of a table that enters the network."""

from collections.abc import Iterable, Sequence

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.data import TabularInput
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.structure import Site
from keras_initcheck.rules.rule import Rule, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number

LARGEST_SHARE = 0.95
"""Share of a table's second moment that a few columns must have to be all that the network sees."""
SHOWN = 3


class ColumnScale(Rule):
    """A table whose columns have very different scales."""

    code = "IC408"
    slug = "column-scale"
    title = "a few columns of the input dominate all others"
    what = (
        "One tenth of a table's columns, or a single one, has more than 95% of the second"
        " moment, and the root mean square of the largest column is more than 20 times the one"
        " of the median column. Constant columns and those with more than a quarter of zeros are"
        " left out."
    )
    why = (
        "Initializers treat all inputs alike: every unit of the first layer starts as a copy of"
        " the large columns, and the gradients of the other columns' weights are smaller by the"
        " same ratio. A learning rate that fits one is wrong for the others."
    )
    example = (
        "sklearn.datasets.load_wine() without scaling: the proline column, around 750, has 98%"
        " of the second moment of 13 columns."
    )
    limits = (
        "Inputs (batch, columns) that enter a trained weight layer directly, or through dropout"
        " and the like. Not reported where any other layer comes first (a Normalization or"
        " Rescaling layer for some columns), or where the inputs were made up; information where"
        " the output of the first layer is normalized."
    )
    fix = (
        "Standardize each column, with keras.layers.Normalization() and adapt(x), or before the"
        " model."
    )

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such input."""
        if evidence.profile.is_synthetic:
            return
        for columns in evidence.profile.tabular_inputs:
            site = _first_site(evidence, columns)
            ratio = columns.root_mean_square / columns.median if columns.median else 0.0
            if (
                site is not None
                and columns.share > LARGEST_SHARE
                and ratio > thresholds.column_ratio
            ):
                is_normalized = bool(evidence.is_normalized[site.index])
                yield self._report(columns, site, ratio, is_normalized, thresholds)

    def _report(
        self,
        columns: TabularInput,
        site: Site,
        ratio: float,
        is_normalized: bool,
        thresholds: Thresholds,
    ) -> Finding:
        count = len(columns.largest)
        named = ", ".join(map(str, columns.largest[:SHOWN])) + (
            f" and {count - SHOWN} more" if count > SHOWN else ""
        )
        subject = f"Column {named} outweighs" if count == 1 else f"Columns {named} outweigh"
        return self.finding(
            "info" if is_normalized else "warning",
            f"{subject} the other columns of input `{columns.input}`: the largest of"
            f" {columns.width} has a root mean square of {number(columns.root_mean_square)}, the"
            f" median one of {number(columns.median)}.",
            site=site,
            details=f"{percent(columns.share)} of the mean square of all columns.",
            measured=ratio,
            expected=f"a ratio below {number(thresholds.column_ratio)}, best about 1",
        )


def _first_site(evidence: Evidence, columns: TabularInput) -> Site | None:
    """The one trained weight layer that takes the table as it is; `None` where that is unclear."""
    if sum(each.width == columns.width for each in evidence.profile.tabular_inputs) > 1:
        return None
    sites = evidence.analysis.sites
    takers = [
        site
        for site in sites
        if site.kind == "weight"
        and (site.input_shape or ())[1:] == (columns.width,)
        and _is_direct(site, sites)
    ]
    return takers[0] if takers and all(site.is_trainable for site in takers) else None


def _is_direct(site: Site, sites: Sequence[Site]) -> bool:
    """Whether nothing but dropout and the like stands between the input and the site."""
    while site.inputs_known and len(site.inputs) == 1 and _keeps_columns(sites[site.inputs[0]]):
        site = sites[site.inputs[0]]
    return site.inputs_known and not site.inputs


def _keeps_columns(site: Site) -> bool:
    return site.kind == "pass" and site.layer_type != "Rescaling"
