"""Indices that enter an embedding: outside of its table, or no indices at all."""

import math
from collections.abc import Iterable

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.data import IndexInput
from keras_initcheck.records.finding import Finding
from keras_initcheck.rules.rule import Rule, input_in_words, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number


class Indices(Rule):
    """Indices that an embedding's table does not have."""

    code = "IC409"
    slug = "embedding-indices"
    title = "an embedding is given ids that its table does not have, or no ids at all"
    what = (
        "The numbers that enter an Embedding are below 0, not below input_dim, or no whole numbers."
    )
    why = (
        "For an index that is too large, TensorFlow and torch stop the training on the CPU,"
        " TensorFlow gives zeros on a GPU, and JAX gives NaN. A negative index counts from the end"
        " of the table: -1, which often marks a missing value, shares the last row with another"
        " id. Fractions are cut off: measurements between 0 and 1 all get row 0."
    )
    example = (
        "ids 1 to 7 with Embedding(4, 8); a standardized column of a table that enters"
        " Embedding(10, 8)."
    )
    limits = (
        "One batch, and embeddings whose call is Keras' own. Inside a traced loop"
        " nothing is seen. The pass itself runs with the nearest indices that the table has,"
        " so that what comes behind is measured on every backend. Made-up inputs are not judged."
    )
    fix = "Number the ids from 0, and give the embedding one row more than the largest id."

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most for each embedding."""
        if evidence.profile.is_synthetic:
            return
        for indices in evidence.profile.index_inputs:
            if indices.share_outside > 0.0 or indices.share_fractional > 0.0:
                yield self._report(evidence, indices)

    def _report(self, evidence: Evidence, indices: IndexInput) -> Finding:
        site = evidence.analysis.sites[indices.site]
        source = f" from {input_in_words(indices.input)}" if indices.input else ""
        return self.finding(
            "error" if indices.leaves_table else "warning",
            f"The ids that `{site.name}` looks up{source} {_problem(indices)}.",
            site=site,
            measured=indices.share_outside + indices.share_fractional,
            expected=f"whole numbers from 0 to {indices.num_rows - 1:,}",
            fix=_fix(indices),
            culprits=(site.layer,),
        )


def _problem(indices: IndexInput) -> str:
    low, high = number(indices.minimum), number(indices.maximum)
    table = f"its table has {indices.num_rows:,} rows"
    if indices.share_fractional:
        return (
            f"are no whole numbers, {percent(indices.share_fractional)} of them, and are cut off:"
            f" they range from {low} to {high}, and {table}"
        )
    if indices.leaves_table and indices.minimum >= 0:
        return f"reach {high}, but {table}"
    return f"range from {low} to {high}, and negative ones count from the end: {table}"


def _fix(indices: IndexInput) -> str:
    if indices.share_fractional:
        return (
            "Feed measurements to a Dense layer; an embedding takes the numbers of categories,"
            " from 0."
        )
    if indices.minimum < 0:
        return "Number the ids from 0, and give missing values an id of their own."
    return f"Use input_dim={math.trunc(indices.maximum) + 1} or more, or renumber the ids from 0."
