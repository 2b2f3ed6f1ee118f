"""What a probe measured, as frozen records of plain Python numbers.

Nothing here measures, judges or renders. Numbers are Python floats (float64): a second moment of
1e60 is representable although the activations were float32. `nan` means "not defined here", `None`
means "was not measured".
"""

import math
from dataclasses import dataclass, field

from keras_initcheck.records.record import Record

SYNTHETIC_DATA = "standard normal inputs"
"""What `Profile.data` says of a batch that was made up for a model that came without data."""


@dataclass(frozen=True, eq=False)
class Moments(Record):
    """Statistics of one tensor over batch, positions and units. The moments are over its finite
    elements.

    Attributes:
        mean: Mean.
        variance: Variance around that mean.
        second_moment: `q = E[a²]`, the quantity that telescopes through a network.
        largest: Largest magnitude; `nan` where it was not taken.
        share_zero: Share of elements that are exactly zero, 0..1.
        share_nonfinite: Share of elements that are NaN or infinite, 0..1.
        batch_share: Mean variance over the batch of each unit, divided by `variance`: 1 where
            samples are unrelated, 0 where the network maps all of them to one point. `nan` for a
            batch of one or where `variance` is zero.
        num_elements: Number of elements, non-finite ones included.
        share_dead: Share of units (channels) that are zero for every sample and position, 0..1;
            `nan` where it was not taken.
    """

    mean: float
    variance: float
    second_moment: float
    largest: float
    share_zero: float
    share_nonfinite: float
    batch_share: float
    num_elements: int
    share_dead: float = math.nan

    @property
    def is_finite(self) -> bool:
        """Whether every element was finite."""
        return self.share_nonfinite == 0.0

    @property
    def is_zero(self) -> bool:
        """Whether every element is exactly zero: by the largest magnitude, as a second moment may
        underflow, or else by the share.
        """
        if math.isnan(self.largest):
            return self.is_finite and self.share_zero == 1.0 and self.second_moment == 0.0
        return self.is_finite and self.largest == 0.0

    @property
    def log10_second_moment(self) -> float:
        """`log10(q)`; `-inf` for an all-zero tensor."""
        return math.log10(self.second_moment) if self.second_moment > 0 else -math.inf


@dataclass(frozen=True, eq=False)
class Places(Record):
    """The same statistic at the three places of a site: its input `x`, its pre-activation `z`, its
    output `h`.

    `h` is taken after the activation that follows the layer, whether fused or a layer of its own.
    Sites that are no weight layers have `h` only.
    """

    x: Moments | None = None
    z: Moments | None = None
    h: Moments | None = None


@dataclass(frozen=True, eq=False)
class Histogram(Record):
    """Counts of a tensor's finite values in equal bins from `minimum` to `maximum`."""

    minimum: float
    maximum: float
    counts: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class WeightStats(Record):
    """One variable of the model.

    Attributes:
        name: Its path, such as `block1_conv1/kernel`.
        layer: Path of the layer that owns it.
        site: Index of the first site of that layer, or `None` where the layer was not called.
        role: `"kernel"`, `"bias"`, `"scale"` (of a normalisation), `"embedding"`, `"state"` (not
            trainable by construction) or `"other"`.
        shape: Its shape.
        fan_in: True number of inputs that feed one output element, per gate in recurrent layers.
            `None` where not defined.
        fan_out: True mean number of output elements that one input element feeds. `None` where not
            defined.
        moments: Statistics of its values (`batch_share` is `nan`).
        norm: Euclidean norm of its finite values.
        fingerprint: Projection on a fixed pseudo-random direction: equal for bitwise equal values
            of one shape.
        is_trainable: Whether it is trained.
        gradient: Statistics of the loss's gradient, or `None` (no labels, not trainable, not
            connected).
        gradient_norm: Euclidean norm of that gradient, or `None`.
        rank: Number of a kernel's directions, counted up to 16, all axes but the last taken
            together; `None` where it was not taken.
        optimizer: As `Profile.optimizer`, of the one that trains it where several train the model;
            else `None`.
    """

    name: str
    layer: str
    site: int | None
    role: str
    shape: tuple[int, ...]
    fan_in: float | None
    fan_out: float | None
    moments: Moments
    norm: float
    fingerprint: float
    is_trainable: bool
    gradient: Moments | None = None
    gradient_norm: float | None = None
    rank: int | None = None
    optimizer: str | None = None


@dataclass(frozen=True, eq=False)
class SiteStats(Record):
    """One call of one layer, in execution order.

    Attributes:
        index: Position in `Profile.sites`.
        name: Path through nested models, with `#2` and so on for further calls of the same layer.
        layer: Path of the layer (equal to `name` at its first call).
        layer_type: Class name.
        kind: `"weight"`, `"activation"`, `"normalization"`, `"merge"`, `"pass"` (dropout, pooling,
            reshaping), `"recurrent"`, `"embedding"`, `"block"` (a layer made of layers, whose own
            arithmetic comes last) or `"other"`.
        inputs: Indices of the sites whose outputs it received.
        inputs_known: Whether every input tensor was recognised as some site's output (or the
            model's input). Where it is `False`, tensor arithmetic outside of layers came in between
            and execution order serves instead.
        follows_previous: Where `inputs_known` is `False`: whether the input is an element-wise
            function of the output of the site executed before, as an activation that is applied
            outside of layers makes it. Judged on a sample of the values.
        input_shape: Shape of the first input, batch first.
        output_shape: Shape of the first output, batch first.
        num_parameters: Number of weights of the layer; 0 at its further calls.
        is_trainable: Whether the layer is trained.
        activation: Name of the activation that follows, fused or as a layer; `None` if there is
            none, `"unknown"` if it cannot be told.
        activations: Statistics of the signal at the three places.
        loss_gradients: Those of the loss's gradient with respect to the signal, if there were
            labels.
        random_gradients: Those of the gradient of a random N(0,1) cotangent at the outputs.
        forward_ratio: Measured `q(h) / q(x)` of a weight layer.
        backward_ratio: Measured `q(dL/dx) / q(dL/dh)`, from the random cotangent if it was used.
        predicted_forward_ratio: The same from the weights alone.
        predicted_backward_ratio: The same from the weights alone.
        log_ratio_variance: Variance of `ln(forward_ratio)` that chance makes in a healthy layer of
            so few units, for one effective sample (see `theory.noise`). The median of the ratio is
            `exp(-variance / 2)` of the prediction.
        chain: Number of the chain that a weight layer belongs to: weight layers in a row
            without normalisation, merge or fork.
        log10_forward_gain: log10 of the measured gain from the start of the chain to this layer's
            `h`.
        log10_backward_gain: log10 of the measured gain from the end of the chain back to this
            layer's `x`.
        is_head: Whether no other weight layer comes after it.
        predicted_log10_second_moment: log10 of the second moment of `h` that follows from the
            model's inputs and all weights on the way.
        predicted_log10_gradient: log10 of that of the random cotangent's gradient at `h`, from the
            weights on its way back.
        unpredicted: Why one of the two is not known, in words; `None` where both are.
    """

    index: int
    name: str
    layer: str
    layer_type: str
    kind: str
    inputs: tuple[int, ...] = ()
    inputs_known: bool = True
    follows_previous: bool = False
    input_shape: tuple[int, ...] | None = None
    output_shape: tuple[int, ...] | None = None
    num_parameters: int = 0
    is_trainable: bool = True
    activation: str | None = None
    activations: Places = field(default_factory=Places)
    loss_gradients: Places | None = None
    random_gradients: Places | None = None
    forward_ratio: float | None = None
    backward_ratio: float | None = None
    predicted_forward_ratio: float | None = None
    predicted_backward_ratio: float | None = None
    log_ratio_variance: float | None = None
    chain: int | None = None
    log10_forward_gain: float | None = None
    log10_backward_gain: float | None = None
    is_head: bool = False
    predicted_log10_second_moment: float | None = None
    predicted_log10_gradient: float | None = None
    unpredicted: str | None = None

    @property
    def gradients(self) -> Places:
        """Gradient statistics for the backward ratio: the random cotangent's if it was used, else
        the loss's.
        """
        return self.random_gradients or self.loss_gradients or Places()


@dataclass(frozen=True, eq=False)
class Columns(Record):
    """The columns of a table that enters the model, without those that are constant or mostly zero.

    Attributes:
        input: Name of the input, as in `Profile.inputs`.
        width: Number of its columns, all of them.
        largest: Indices of the columns with the largest second moment, largest first: a tenth of
            them, one at least.
        share: Share of the second moment that these have together, 0..1.
        root_mean_square: That of the largest column.
        median: Median of the columns' root mean squares, the lower one of two.
    """

    input: str
    width: int
    largest: tuple[int, ...]
    share: float
    root_mean_square: float
    median: float


@dataclass(frozen=True, eq=False)
class Labels(Record):
    """Statistics of the labels that one output of the model is held against.

    Attributes:
        minimum: Smallest finite value.
        maximum: Largest finite value.
        mean: Mean of the finite values.
        deviation: Root of the units' mean variance over samples and positions: the error of the
            best constant.
        absolute_deviation: Mean distance from each unit's median: the same for absolute errors.
        entropy: Entropy of the classes in nats, which is the cross-entropy of the best constant;
            `nan` where there are no classes.
        share_nonfinite: Share of values that are NaN or infinite, 0..1.
        share_invalid: Share of labels, 0..1, that the loss cannot mean: classes that the output
            does not have, rows that are no distribution over classes, values outside 0..1 for a
            binary cross-entropy. Rows of zeros, which mask a sample, are none.
        is_multi_hot: Whether rows are zeros and ones with several ones, where one class is
            expected.
    """

    minimum: float
    maximum: float
    mean: float
    deviation: float
    absolute_deviation: float
    entropy: float = math.nan
    share_nonfinite: float = 0.0
    share_invalid: float = 0.0
    is_multi_hot: bool = False


@dataclass(frozen=True, eq=False)
class Target(Record):
    """One output of the model beside its labels and its loss, where the loss is one that Keras
    itself brings along.

    Attributes:
        name: Name of the output.
        site: Index of the site that made it, or `None` where it was made outside of layers.
        activation: Name of the activation that made it; `None` if there is none, `"unknown"` if it
            cannot be told.
        width: Number of its units: classes of a softmax.
        loss: Keras' name of the loss, such as `"mean_squared_error"`.
        from_logits: Whether that loss applies softmax or sigmoid by itself.
        value: Mean of the loss on the batch, without sample weights, loss weights and
            regularisation.
        minimum: Smallest value of the output on the batch.
        maximum: Largest value.
        logit_deviation: Standard deviation, over the units of a sample, of what enters the softmax
            (over all elements for a sigmoid or a single unit); `nan` where that is not known.
        labels: Statistics of the labels.
        is_weighted: Whether sample weights came with the batch, which may mask labels.
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


@dataclass(frozen=True, eq=False)
class Spectrum(Record):
    """Singular values of the Jacobian from the model's floating-point inputs to its outputs, before
    the activation of the last layer.

    All samples of the batch together are one operator; where samples do not meet (no batch
    normalisation) its singular values are those of all samples.

    Attributes:
        num_inputs: Numbers that enter, over all samples.
        num_outputs: Numbers that leave.
        mean_square: Mean squared singular value, `sum s² / min(num_inputs, num_outputs)`, estimated
            by random vectors.
        standard_error: Its standard error over the vectors.
        num_vectors: Number of random vectors.
        largest: Largest singular value as far as the iterations found it: it is at least that
            large. `None` where the backend cannot differentiate in the other direction.
        largest_error: A singular value lies as close to `largest` as this.
        num_iterations: Number of products with `J Jᵀ` that it took.
        note: What could not be measured and why, in words; `None` where all was.
    """

    num_inputs: int
    num_outputs: int
    mean_square: float
    standard_error: float
    num_vectors: int
    largest: float | None = None
    largest_error: float | None = None
    num_iterations: int = 0
    note: str | None = None


@dataclass(frozen=True, eq=False)
class Profile(Record):
    """Everything that one probe measured.

    Attributes:
        model: Name of the model.
        sites: Every site, in execution order.
        weights: Every floating-point variable of the model.
        not_probed: `(path, reason)` of what was left out.
        batch_size: Number of samples in the batch.
        loss: Value of the loss on the batch, or `None` without labels.
        inputs: `(name, moments)` of each floating-point model input.
        log10_forward_gain: log10 of
            `q(h of the last hidden weight layer) / q(x of the first weight layer)`, measured.
        log10_backward_gain: log10 of `q(dL/dx of the first) / q(dL/dh of the last hidden)`,
            measured.
        optimizer: Keras' class name of the compiled optimizer, past those that wrap it;
            `"MultiOptimizer"` where several kinds train the model, `None` where nothing is
            compiled. One that is none of Keras' has its module's name in front.
        backend: Keras backend.
        dtype: Name of the model's dtype policy.
        data: Where the batch came from, in words.
        step: Number of training steps that had been taken.
        seconds: Wall time of the probe.
        seed: Seed of the random cotangent and of synthetic data.
        versions: `(package, version)` pairs.
        histograms: `(tag, histogram)` pairs where they were asked for.
        targets: Outputs with their labels, from exact probes with labels.
        columns: The model's inputs that are tables, from exact probes.
        spectrum: Singular values of the input-output Jacobian, where they were asked for.
        is_loss_scaled: Whether the optimizer scales the loss, and skips steps whose gradient
            overflows.
    """

    model: str
    sites: tuple[SiteStats, ...]
    weights: tuple[WeightStats, ...] = ()
    not_probed: tuple[tuple[str, str], ...] = ()
    batch_size: int = 0
    loss: float | None = None
    inputs: tuple[tuple[str, Moments], ...] = ()
    log10_forward_gain: float | None = None
    log10_backward_gain: float | None = None
    optimizer: str | None = None
    backend: str = ""
    dtype: str = "float32"
    data: str = ""
    step: int = 0
    seconds: float = 0.0
    seed: int = 0
    versions: tuple[tuple[str, str], ...] = ()
    histograms: tuple[tuple[str, Histogram], ...] = ()
    targets: tuple[Target, ...] = ()
    columns: tuple[Columns, ...] = ()
    spectrum: Spectrum | None = None
    is_loss_scaled: bool = False

    def site(self, name: str) -> SiteStats:
        """The site of that name.

        Raises:
            KeyError: No site has that name; the message lists those that come close.
        """
        for site in self.sites:
            if site.name == name:
                return site
        close = [site.name for site in self.sites if name.rsplit("/", 1)[-1] in site.name]
        raise KeyError(
            f"No site is called {name!r}. Close:"
            f" {close[:5] or [site.name for site in self.sites][:5]}."
        )

    def kernels(self, layer: str) -> tuple[WeightStats, ...]:
        """The kernels of the layer at that path, in the order in which the layer applies them."""
        return tuple(
            weight for weight in self.weights if weight.layer == layer and weight.role == "kernel"
        )

    @property
    def is_of_synthetic_data(self) -> bool:
        """Whether the batch was made up, so that its scale says nothing about the user's data."""
        return self.data == SYNTHETIC_DATA

    @property
    def weight_sites(self) -> tuple[SiteStats, ...]:
        """The sites of weight layers with a kernel, heads included."""
        return tuple(site for site in self.sites if site.kind == "weight")
