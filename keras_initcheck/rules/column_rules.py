"""The columns of a table that enters the network."""

from collections.abc import Iterable

from keras_initcheck.analysis.site_graph import Graph
from keras_initcheck.records.data import TabularInput
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.rules.rule import Rule, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

LARGEST_SHARE = 0.95
"""Share of a table's second moment that a few columns must have to be all that the network sees."""
SHOWN = 3


class ColumnScale(Rule):
    """A table whose columns have very different scales."""

    code = "IC408"
    slug = "column-scale"
    title = "a few columns of the input drown the others"
    what = (
        "One tenth of a table's columns, or one, has more than 95% of the second moment, and the"
        " largest column's root mean square is more than 20 times the median column's. Constant"
        " columns and those with more than a quarter of zeros are left out."
    )
    why = (
        "Initialisers take all inputs for alike: every unit of the first layer begins as a copy of"
        " the large columns, and the gradient of the others' weights is as much smaller as they"
        " are. Learning rates that fit one are wrong for the other."
    )
    example = (
        "sklearn.datasets.load_wine() as it comes: the proline column, around 750, has 98% of the"
        " second moment of 13 columns."
    )
    limits = (
        "Inputs (batch, columns) that enter a trained weight layer directly, or through dropout and"
        " the like. Silent where anything else comes first (a Normalization or Rescaling layer for"
        " some columns), and where the inputs were made up; information where the first layer's"
        " output is normalised."
    )
    fix = (
        "Standardise each column, with keras.layers.Normalization() and adapt(x), or before the"
        " model."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such input."""
        if profile.is_synthetic:
            return
        graph = Graph(profile)
        for columns in profile.tabular_inputs:
            site = _first_site(profile, columns)
            ratio = columns.root_mean_square / columns.median if columns.median else 0.0
            if (
                site is not None
                and columns.share > LARGEST_SHARE
                and ratio > thresholds.column_ratio
            ):
                yield self._report(columns, site, ratio, graph.is_normalised(site), thresholds)

    def _report(
        self,
        columns: TabularInput,
        site: SiteStats,
        ratio: float,
        is_normalised: bool,
        thresholds: Thresholds,
    ) -> Finding:
        count = len(columns.largest)
        named = ", ".join(map(str, columns.largest[:SHOWN])) + (
            f" and {count - SHOWN} more" if count > SHOWN else ""
        )
        subject = f"Column {named} has" if count == 1 else f"Columns {named} have"
        return self.finding(
            "info" if is_normalised else "warning",
            f"{subject} {percent(columns.share)} of the second moment of the {columns.width}"
            f" columns of input `{columns.input}`: the largest has a root mean square of"
            f" {columns.root_mean_square:.3g}, the median one of {columns.median:.3g}.",
            site=site,
            measured=ratio,
            expected=f"a ratio below {thresholds.column_ratio:g}, best about 1",
        )


def _first_site(profile: Profile, columns: TabularInput) -> SiteStats | None:
    """The one trained weight layer that takes the table as it is; `None` where that is not plain to
    see.
    """
    if sum(each.width == columns.width for each in profile.tabular_inputs) > 1:
        return None
    takers = [
        site
        for site in profile.weight_sites
        if _is_direct(site, profile) and (site.input_shape or ())[1:] == (columns.width,)
    ]
    return takers[0] if takers and all(site.is_trainable for site in takers) else None


def _is_direct(site: SiteStats, profile: Profile) -> bool:
    while (
        site.inputs_known
        and len(site.inputs) == 1
        and _keeps_columns(profile.sites[site.inputs[0]])
    ):
        site = profile.sites[site.inputs[0]]
    return site.inputs_known and not site.inputs


def _keeps_columns(site: SiteStats) -> bool:
    return site.kind == "pass" and site.layer_type != "Rescaling"
