"""Facts about the batch: tables and indices that enter the model, labels, outputs beside them."""

from dataclasses import dataclass

from keras_initcheck.records.record import Record


@dataclass(frozen=True, eq=False)
class TabularInput(Record):
    """The columns of a table that enters the model, without those that are constant or mostly zero.

    Attributes:
        input: Name of the input, as in `Profile.inputs`.
        width: Number of its columns, all of them.
        largest: Indices of the columns with the largest second moment, largest first: a tenth of
            them, one at least.
        share: Share of the second moment that these have together, 0..1.
        root_mean_square: Root mean square of the largest column.
        median: Median of the columns' root mean squares, the lower one of two.
    """

    input: str
    width: int
    largest: tuple[int, ...]
    share: float
    root_mean_square: float
    median: float


@dataclass(frozen=True, eq=False)
class IndexInput(Record):
    """The indices that enter one embedding.

    Attributes:
        site: Index of the embedding's site.
        input: Name of the model's input that it takes, as in `Profile.inputs`; empty where layers
            make the indices.
        num_rows: Number of rows of its table.
        minimum: Smallest finite value.
        maximum: Largest finite value.
        share_outside: Share of values, 0..1, below 0, or for which the table has no row.
        share_fractional: Share of values, 0..1, that are no whole numbers.
    """

    site: int
    input: str
    num_rows: int
    minimum: float
    maximum: float
    share_outside: float
    share_fractional: float

    @property
    def leaves_table(self) -> bool:
        """Whether no row is read for a value: negative indices count from the end of the table."""
        return int(self.minimum) < -self.num_rows or int(self.maximum) >= self.num_rows


@dataclass(frozen=True, eq=False)
class Labels(Record):
    """Statistics of the labels that one output of the model is held against.

    Attributes:
        minimum: Smallest finite value.
        maximum: Largest finite value.
        mean: Mean of the finite values.
        deviation: Root of the units' mean variance over samples and positions: the error of the
            best constant.
        absolute_deviation: Mean distance from each unit's median: the error of the best constant
            under an absolute loss.
        share_nonfinite: Share of values that are NaN or infinite, 0..1.
        share_invalid: Share of labels, 0..1, that the loss cannot take: classes that the output
            does not have, rows that are no distribution over classes, values outside 0..1 for a
            binary cross-entropy. Rows of zeros, which mask a sample, are none.
        is_multi_hot: Whether rows are zeros and ones, some of them with several ones.
    """

    minimum: float
    maximum: float
    mean: float
    deviation: float
    absolute_deviation: float
    share_nonfinite: float = 0.0
    share_invalid: float = 0.0
    is_multi_hot: bool = False


@dataclass(frozen=True, eq=False)
class OutputStats(Record):
    """One output of the model beside its labels and its loss, which is one of Keras' own.

    Attributes:
        name: Name of the output.
        site: Index of the site that made it, or `None` where it was made outside of layers.
        activation: Name of the activation that made it; `None` if there is none, `"unknown"` if it
            cannot be told.
        width: Number of its units: classes of a softmax.
        loss: Keras' name of the loss, such as `"mean_squared_error"`.
        from_logits: Whether that loss applies softmax or sigmoid by itself.
        value: Mean of the loss on the batch, without sample weights, loss weights and
            regularization.
        minimum: Smallest value of the output on the batch.
        maximum: Largest value.
        logit_deviation: Standard deviation, over the units of a sample, of what enters the softmax
            (over all elements for a sigmoid or a single unit); `nan` where that is not known.
        labels: Statistics of the labels.
        is_weighted: Whether sample weights came with the batch, which may mask labels.
        inner_activation: Name of another activation that its own one receives, with no weights
            between the two; `None` if there is none.
        is_own_loss: Whether the loss is a function of the user's own, of the value of `loss`.
    """

    name: str
    site: int | None
    activation: str | None
    width: int
    loss: str
    from_logits: bool
    value: float
    minimum: float
    maximum: float
    logit_deviation: float
    labels: Labels
    is_weighted: bool = False
    inner_activation: str | None = None
    is_own_loss: bool = False
