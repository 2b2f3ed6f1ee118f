"""The first step: what the compiled optimizer's first update does to the weights and the loss."""

from dataclasses import dataclass

from keras_initcheck.records.record import Record


@dataclass(frozen=True, eq=False)
class FirstStep(Record):
    """The optimizer's next update, made on the probe's batch and taken back.

    Attributes:
        loss_before: The loss on the batch.
        loss_after: The loss on the same batch, with the same random draws, after the update.
        promised_change: The change of the loss to first order, the sum of gradient times update. It
            is negative where the loss falls.
        learning_rate: The rate of the update, the largest of several optimizers. A schedule that
            warms up counts with the largest rate of its first 1000 steps. `nan` if unknown.
        momentum: Share of an update, 0..1, that the next update repeats: the momentum of SGD and
            RMSprop, 0 for others.
        relative_updates: `(weights,)`, root mean square of a weight's update over that of the
            weight; `nan` for a weight that is zero or not trained.
        shares_below_epsilon: `(weights,)`, share of the gradient's elements, among those that are
            not zero, that are smaller than what the optimizer adds to their size before it divides
            by it; `nan` where the gradient is zero throughout or the optimizer does not do so.
        planned_steps: Updates that the running training still plans, or `None` if unknown.
        warms_up: Whether the rate is one that a schedule only reaches later.
        relative_sizes: `(weights,)`, root mean square of a weight after its update, and after its
            constraint, over the one before; `nan` for a weight that is zero or not trained.
        decay: Share of each weight, 0 and up, that an update takes away whatever its gradient is,
            the largest of several optimizers: `weight_decay` times the rate.
    """

    loss_before: float
    loss_after: float
    promised_change: float
    learning_rate: float
    momentum: float = 0.0
    relative_updates: tuple[float, ...] = ()
    shares_below_epsilon: tuple[float, ...] = ()
    planned_steps: int | None = None
    warms_up: bool = False
    relative_sizes: tuple[float, ...] = ()
    decay: float = 0.0
