"""A site and a weight together with what was measured there: views of a profile's arrays."""

from dataclasses import dataclass, field

from keras_initcheck.records.draw import Draw
from keras_initcheck.records.statistics import Moments, Places
from keras_initcheck.records.structure import Site, Weight


@dataclass(frozen=True, eq=False)
class SiteStats(Site):
    """A site and its statistics. A number is `None` where it was not measured or is not defined.

    Attributes:
        activations: Statistics of the signal at the three places.
        loss_gradients: Statistics of the loss's gradient with respect to the signal, if there were
            labels.
        random_gradients: Statistics of the gradient of a random N(0,1) cotangent at the outputs.
        forward_ratio: Measured `q(h) / q(x)` of a weight layer.
        backward_ratio: Measured `q(dL/dx) / q(dL/dh)`, from the random cotangent if it was used.
        predicted_forward_ratio: The same from the weights alone.
        predicted_backward_ratio: The same from the weights alone.
        log_ratio_variance: Variance of `ln(forward_ratio)` that chance makes in a healthy layer of
            so few units, for one effective sample (see `theory.noise`). The median of the ratio is
            `exp(-variance / 2)` of the prediction.
        log10_forward_gain: log10 of the measured gain from the start of the chain to this layer's
            `h`.
        log10_backward_gain: log10 of the measured gain from the end of the chain back to this
            layer's `x`.
        predicted_log10_second_moment: log10 of the second moment of `h` that follows from the
            model's inputs and all weights on the way.
        predicted_log10_gradient: log10 of the second moment of the random cotangent's gradient at
            `h`, from the weights on its way back.
        unpredicted: Why one of the two is not known, in words; `None` where both are.
    """

    activations: Places = field(default_factory=Places)
    loss_gradients: Places | None = None
    random_gradients: Places | None = None
    forward_ratio: float | None = None
    backward_ratio: float | None = None
    predicted_forward_ratio: float | None = None
    predicted_backward_ratio: float | None = None
    log_ratio_variance: float | None = None
    log10_forward_gain: float | None = None
    log10_backward_gain: float | None = None
    predicted_log10_second_moment: float | None = None
    predicted_log10_gradient: float | None = None
    unpredicted: str | None = None

    @property
    def gradients(self) -> Places:
        """Gradients behind the backward ratio: the random cotangent's if there is one."""
        return self.random_gradients or self.loss_gradients or Places()


@dataclass(frozen=True, eq=False)
class WeightStats(Weight):
    """A variable and its statistics.

    Attributes:
        moments: Statistics of its values (`batch_share` is `nan`).
        norm: Euclidean norm of its finite values.
        fingerprint: Mean of the values, in order, times fixed pseudo-random signs: equal for equal
            values, whatever their shape, up to rounding. `nan` where it was not taken.
        gradient: Statistics of the loss's gradient, or `None` (no labels, not trainable, not
            connected).
        gradient_norm: Euclidean norm of that gradient, or `None`.
        rank: Number of a kernel's directions, counted up to 16, all axes but the last taken
            together; `None` where it was not taken.
        draw: Comparison with what its initializer promises, from exact probes.
    """

    moments: Moments
    norm: float
    fingerprint: float
    gradient: Moments | None = None
    gradient_norm: float | None = None
    rank: int | None = None
    draw: Draw | None = None
