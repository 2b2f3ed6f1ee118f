"""The pre-fit diagnostic and its cure: `check`, `assert_healthy`, `repair`, and what they give.
Glue only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from keras_initcheck.probe.data.batch import Batch, take_batch
from keras_initcheck.probe.data.synthetic import synthetic_inputs
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.probe import Probe
from keras_initcheck.probe.tap.guards import ONE_AT_A_TIME
from keras_initcheck.records.profile import SYNTHETIC_DATA
from keras_initcheck.records.report import Report
from keras_initcheck.repairs.layer_selection import selection
from keras_initcheck.repairs.options import Options
from keras_initcheck.repairs.repair import Repair
from keras_initcheck.repairs.repairer import Repairer
from keras_initcheck.rules import catalogue


def check(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    sample_weight: Any = None,
    batch_size: int | None = None,
    seed: int = 0,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    thresholds: Mapping[str, float] | None = None,
    exempt: Mapping[str, Sequence[str]] | None = None,
    spectrum: bool = False,
) -> Report:
    """Probes a model with one batch and judges what it measured.

    Args:
        model: A `keras.Model`, compiled or not: Sequential, Functional, subclassed, nested.
        x: Inputs as `fit` takes them: arrays, a dict or list of arrays, `tf.data.Dataset`,
            `PyDataset`, generator, torch `DataLoader`. Without it standard normal inputs of the
            model's own shapes are used (before its own Rescaling and Normalization layers: what
                becomes standard normal there), valid ids where an input feeds an Embedding.
        y: Labels, where `x` holds arrays. With labels and a compiled loss the loss's gradients are
            measured too.
        sample_weight: Weights of the samples, where `x` holds arrays.
        batch_size: Samples to take from arrays, 32 unless told.
        seed: Seed of synthetic inputs and of the random gradient that measures backward ratios.
        select: Codes or slugs of the only rules to apply.
        ignore: Codes or slugs of rules not to apply.
        thresholds: Numbers for rules to judge by, such as `{"sgd_gain_warning": 8.0}`;
            `initcheck --list-thresholds` prints all.
        exempt: Layers to leave alone, as patterns of their paths, each with codes or slugs:
            `{"backbone/*": ["IC102"], "head": ["*"]}`. A finding on several layers is left out
            where all of them are exempt.
        spectrum: Whether to estimate the singular values of the Jacobian from inputs to outputs
            too, which takes some 60 more passes.

    Returns:
        The report.

    Raises:
        TypeError: `model` is no Keras model.
        DataError: The data gives no usable batch, or labels that do not fit the loss.
        ProbeError: The model does not run on the batch.
        ValueError: An argument is out of its range.

    Cost: one forward and two backward passes, and tracing or compiling them. Side effects: none on
    the model, which is bitwise what it was (an unbuilt model is built); one item is taken from a
    generator.
    """
    policy = catalogue.policy_of(select, ignore, thresholds, exempt)
    probe = Probe(model, seed=seed)
    batch, data = _batch(model, x, y, sample_weight, batch_size, seed)
    profile = probe.measure(batch, data=data, step=introspection.steps_taken(model))
    if spectrum:
        profile = replace(profile, spectrum=probe.spectrum(batch))
    return catalogue.judge(profile, policy, with_mean_field=True)


def repair(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    method: str = "auto",
    mode: str = "forward",
    layers: Any = None,
    allow_trained: bool = False,
    dry_run: bool = False,
    target: float = 1.0,
    tolerance: float = 0.1,
    sample_weight: Any = None,
    batch_size: int | None = None,
    seed: int = 0,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    thresholds: Mapping[str, float] | None = None,
    exempt: Mapping[str, Sequence[str]] | None = None,
) -> Repair:
    """Re-initialises the layers of a model that drift, and proves it: what a new probe does not
    find better is undone.

    Args:
        model: A `keras.Model`, as in `check`.
        x: As in `check`.
        y: As in `check`.
        method: `"auto"` does the least that works: kernels of a wrong size are multiplied by one
            number each, so that their distribution stays; constant, zero, repeated and not finite
            ones are drawn anew for their activation; biases that kill or saturate units become
            zero; the m layers of each of N residual branches that blow up the stream are scaled by
            N^(-1/(2m-2)); what the measurement still blames is settled on the batch. Healthy layers
            are not touched. `"fixup"` is the same with zeros as last layers of branches (Zhang et
            al. 2019). `"he"`, `"lecun"` and `"orthogonal"` draw every kernel anew with its true
            fan-in and its activation's gain (normal, normal, orthogonal), `"glorot"` with the mean
            of both fans. `"lsuv"` draws orthonormal kernels and settles each layer on the batch
            (Mishkin & Matas 2016), in one pass.
        mode: What keeps its scale where the number of units changes and one kernel cannot keep
            both: `"forward"` the signal, `"backward"` the gradient, `"balanced"` their geometric
                mean.
        layers: The only layers that may change: a path, a pattern such as `"head/*"`, a layer, or a
            list of these.
        allow_trained: Whether to change a model whose optimizer has made steps.
        dry_run: Whether to plan only.
        target: Standard deviation of settled pre-activations.
        tolerance: Share by which they may miss it.
        sample_weight: As in `check`.
        batch_size: As in `check`.
        seed: Seed of the probe and of what is drawn.
        select: As in `check`.
        ignore: As in `check`; what is ignored is not repaired.
        thresholds: As in `check`.
        exempt: As in `check`; what is exempt is not repaired.

    Returns:
        What was done. `undo()` gives the model its values back, bitwise.

    Raises:
        TypeError: `model` is no Keras model.
        ValueError: An argument is out of its range, `layers` means none, or the model is trained
            and `allow_trained` is false.
        DataError: As in `check`.
        ProbeError: As in `check`.

    Cost: two or three probes, and one forward pass where something is settled; the weights are
    copied to the host. Side effects: the values of weights, and the optimizer's memory of them.
    Frozen layers and intended zeros keep theirs, and so do embeddings and normalisations: where
    their values are blamed (not finite, constant) and `layers` names them, they get those of their
    own initialisers.
    """
    policy = catalogue.policy_of(select, ignore, thresholds, exempt)
    probe = Probe(model, seed=seed)
    _check_trained(model, allow_trained)
    batch, data = _batch(model, x, y, sample_weight, batch_size, seed)
    with ONE_AT_A_TIME:  # nobody else changes the model between the measurement and its cure
        before = catalogue.judge(probe.measure(batch, data=data), policy)
        chosen = selection(layers, probe.owned)
        options = Options(method, mode, target, tolerance, seed, chosen)
        repairer = Repairer(
            probe,
            batch,
            lambda profile: catalogue.judge(replace(profile, data=data), policy),
            options,
        )
        return repairer.run(before, is_dry=dry_run)


def _check_trained(model: Any, allow_trained: bool) -> None:
    steps = introspection.steps_taken(model)
    if steps and not allow_trained:
        raise ValueError(
            "`model` must be one that was not trained, since its weights would be lost. Received:"
            f" {model.name!r}, whose optimizer has made {steps} step{'s' * (steps > 1)}. Pass"
            " allow_trained=True if that is what you want."
        )


def assert_healthy(model: Any, x: Any = None, y: Any = None, **options: Any) -> None:
    """Asserts that `check` finds no warning and no error; for a project's own tests.

    Args:
        model: As in `check`.
        x: As in `check`.
        y: As in `check`.
        **options: The other arguments of `check`.

    Raises:
        AssertionError: There are findings; the message is the printed report.
    """
    report = check(model, x, y, **options)
    if not report.ok:
        raise AssertionError(f"{report.verdict}\n{report}")


def _batch(
    model: Any, x: Any, y: Any, sample_weight: Any, batch_size: int | None, seed: int
) -> tuple[Batch, str]:
    if x is not None:
        return take_batch(x, y, sample_weight, batch_size), f"first batch of {type(x).__name__}"
    if y is not None:
        raise ValueError(
            "`y` must come with `x`. Received: y without x. Pass both, or neither for synthetic"
            " inputs."
        )
    inputs = synthetic_inputs(model, batch_size or 32, seed)
    return take_batch(inputs, batch_size=batch_size), SYNTHETIC_DATA
