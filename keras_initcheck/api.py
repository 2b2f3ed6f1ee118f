"""The diagnostic before training and its cure: `check`, `assert_healthy`, `trial` and `repair`.

Glue only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from keras_initcheck.outputs.progress_line import ProgressLine
from keras_initcheck.probe.data.arguments import as_steps
from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.data.batches import Batches, take_batches
from keras_initcheck.probe.data.probe_batch import probe_batch
from keras_initcheck.probe.keras_model.optimizers import steps_taken
from keras_initcheck.probe.probe import Probe
from keras_initcheck.probe.tap.guards import ONE_AT_A_TIME
from keras_initcheck.probe.trial import check_trial, run_trial, with_trial
from keras_initcheck.records.report import Report
from keras_initcheck.records.trial import Trial
from keras_initcheck.repairs.layer_selection import options_for
from keras_initcheck.repairs.options import RepairOptions, choose_options
from keras_initcheck.repairs.repair import Repair
from keras_initcheck.repairs.repairer import Repairer
from keras_initcheck.repairs.trials import candidates, repair_by_trial
from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.policy import Policy, choose_policy

OPTION_KEYWORDS = "`method`, `mode`, `layers`, `allow_trained`, `target` and `tolerance`"


def check(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    sample_weight: Any = None,
    batch_size: int | None = None,
    seed: int = 0,
    policy: Policy | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    thresholds: Mapping[str, float] | None = None,
    exempt: Mapping[str, Sequence[str]] | None = None,
    jacobian_spectrum: bool = False,
    first_step: bool = True,
    progress: bool = True,
    trial_steps: int | None = None,
) -> Report:
    """Probes a model with one batch and applies the rules to the measurement.

    Args:
        model: A `keras.Model`, compiled or not: Sequential, Functional, subclassed, nested.
        x: Inputs as `fit` takes them: arrays, a dict or list of arrays, `tf.data.Dataset`,
            `PyDataset`, generator, torch `DataLoader`. If omitted, random inputs are drawn that are
            standard normal after the model's own Rescaling and Normalization layers; inputs of an
            Embedding are valid token ids.
        y: Labels, if `x` holds arrays. With labels and a compiled loss, the loss and its gradients
            are measured, too.
        sample_weight: Weights of the samples, if `x` holds arrays.
        batch_size: Number of samples to take from arrays; 32 by default.
        seed: Seed of random inputs, and of the random gradient that measures backward ratios.
        policy: A `Policy`, in place of the next four arguments.
        select: Codes or slugs of the only rules to apply.
        ignore: Codes or slugs of rules not to apply.
        thresholds: Numbers to judge by, such as `{"sgd_gain_warning": 8.0}`;
            `initcheck --list-thresholds` prints all of them.
        exempt: Layers to leave alone, as patterns of their paths, each with codes or slugs:
            `{"backbone/*": ["IC102"], "head": ["*"]}`. A finding on several layers is left out if
            all of them are exempt.
        jacobian_spectrum: Whether to estimate the singular values of the Jacobian from inputs to
            outputs, too, which takes about 60 more passes.
        first_step: Whether to make the compiled optimizer's next update, to measure the loss after
            it, and to take it back.
        progress: Whether a line on standard error shows what is being done, once that takes over
            two seconds. There is none where standard error is no terminal, and it is taken away in
            the end.
        trial_steps: Number of steps to train the model for, as `trial` does, and to take back. What
            the trial shows stands beside each warning, and a network that does not learn in it is
            reported.

    Returns:
        The report.

    Raises:
        TypeError: `model` is not a Keras model.
        DataError: The data yields no usable batch, or labels that do not fit the loss.
        ProbeError: The model does not run on the batch.
        ValueError: An argument is out of its range.

    Cost: one forward and two backward passes, and the time to trace or compile them; for the first
    step an update, one more forward pass, and the memory of the weights and of the optimizer's
    slots once more. Side effects: the model and its optimizer stay bitwise the same (an unbuilt
    model is built); one item is taken from a generator, and `trial_steps` in all with a trial.
    """
    policy = choose_policy(policy, Policy(select, ignore, thresholds, exempt))
    with ProgressLine(progress) as line:
        probe = Probe(model, seed, line)
        steps = None if trial_steps is None else check_trial(model, x, trial_steps)
        batch = probe_batch(model, x, y, sample_weight, batch_size=batch_size, seed=seed)
        profile = probe.measure(batch, with_first_step=first_step)
        if steps is not None:
            line(f"training for {steps} steps, to be taken back")
            batches = take_batches(
                x, y, sample_weight, batch_size, count=steps, seed=probe.seed, first=batch
            )
            profile = with_trial(profile, model, batches)
        if jacobian_spectrum:
            line("estimating the Jacobian's singular values")
            profile = replace(profile, spectrum=probe.spectrum(batch))
        line("judging")
        return judge(profile, policy, with_mean_field=True)


def repair(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    options: RepairOptions | None = None,
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
    policy: Policy | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    thresholds: Mapping[str, float] | None = None,
    exempt: Mapping[str, Sequence[str]] | None = None,
    first_step: bool = True,
    progress: bool = True,
    trial_steps: int | None = None,
) -> Repair:
    """Re-initializes the layers of a model that drift, and verifies the result with a new probe.

    Changes that the new probe does not find better are undone.

    Args:
        model: A `keras.Model`, as in `check`.
        x: As in `check`.
        y: As in `check`.
        options: A `RepairOptions`, in place of `method`, `mode`, `layers`, `allow_trained`,
            `target` and `tolerance`.
        method: `"auto"` does the least that works. It multiplies kernels of a wrong size by one
            number each, which preserves their distribution (in a chain of 16 layers and more it
            draws them anew, orthogonal); redraws constant, zero, repeated and non-finite kernels
            for their activation; sets biases that kill or saturate units to zero; scales the m
            layers of each of N residual branches that blow up the stream by N^(-1/(2m-2)); and
            settles on the batch the layers that the new probe still reports.
            Where it mends sizes, it also mends further layers whose weights have more than twice
            the right size, such as the head. Healthy layers stay untouched. `"fixup"` does the same
            with zeros as the last layers of branches (Zhang et al. 2019). `"he"`, `"lecun"` and
            `"orthogonal"` redraw every kernel with its true fan-in and the gain of its activation
            (normal, normal, orthogonal), `"glorot"` with the mean of both fans. `"lsuv"` draws
            orthonormal kernels and settles each layer on the batch (Mishkin & Matas 2016), in one
            pass.
        mode: Scale to preserve where a layer changes the number of units and one kernel cannot
            preserve both: `"forward"` the signal's, `"backward"` the gradient's, `"balanced"` their
            geometric mean.
        layers: The only layers that may change: a path, a pattern such as `"head/*"`, a layer, or a
            list of these.
        allow_trained: Whether to change a model whose optimizer has made steps.
        dry_run: Whether to plan only.
        target: Standard deviation of settled pre-activations.
        tolerance: Relative deviation from `target` that is accepted.
        sample_weight: As in `check`.
        batch_size: As in `check`.
        seed: Seed of the probe and of the values that are drawn.
        policy: As in `check`.
        select: As in `check`.
        ignore: As in `check`; findings of ignored rules are not repaired.
        thresholds: As in `check`.
        exempt: As in `check`; exempt layers are not repaired.
        first_step: As in `check`, for each probe.
        progress: As in `check`.
        trial_steps: Number of steps to train each candidate for, on the same batches, and to take
            back: the model as it is and as each method repairs it, which for `"auto"` are
            `"auto"`, `"he"` and `"lsuv"`. The one that learns best stays, or none.

    Returns:
        The repair, whose `undo()` restores the model's values bitwise.

    Raises:
        TypeError: `model` is not a Keras model.
        ValueError: An argument is out of its range, `layers` matches no layer, or the model is
            trained and `allow_trained` is false.
        DataError: As in `check`.
        ProbeError: As in `check`.

    Cost: two or three probes, and one forward pass if layers are settled; the weights are copied to
    the host. With trials that much and the steps for each candidate, and all batches are kept. Side
    effects: the values of weights change, and the optimizer's slots for them are reset. Frozen
    layers and intended zeros keep their values. So do embeddings and normalizations, unless a
    finding blames their values (not finite, constant) and `layers` names them: then their own
    initializers draw new values.
    """
    policy = choose_policy(policy, Policy(select, ignore, thresholds, exempt))
    shorthand = RepairOptions(method, mode, layers, allow_trained, target, tolerance)
    options = choose_options(options, shorthand, argument="options", keywords=OPTION_KEYWORDS)
    with ProgressLine(progress) as line:
        probe = Probe(model, seed, line)
        _check_trained(model, options.allow_trained)
        steps = None if trial_steps is None else check_trial(model, x, trial_steps)
        batch = probe_batch(model, x, y, sample_weight, batch_size=batch_size, seed=seed)
        batches = None
        if steps is not None and not dry_run:
            batches = take_batches(
                x, y, sample_weight, batch_size, count=steps, seed=probe.seed, first=batch
            )
        return _repair(
            probe, batch, policy, options, batches, is_dry=dry_run, first_step=first_step
        )


def _repair(
    probe: Probe,
    batch: Batch,
    policy: Policy,
    options: RepairOptions,
    batches: Batches | None,
    *,
    is_dry: bool,
    first_step: bool,
) -> Repair:
    with ONE_AT_A_TIME:  # no other thread may change the model between measurement and cure
        before = judge(probe.measure(batch, with_first_step=first_step), policy)

        def run(method: str) -> Repair:
            chosen = options_for(replace(options, method=method), probe.owned, probe.seed)
            return Repairer(probe, batch, policy, chosen).run(before, is_dry=is_dry)

        if batches is None:
            return run(options.method)
        methods = {method: partial(run, method) for method in candidates(options.method)}
        return repair_by_trial(probe.model, before, batches, methods)


def trial(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    steps: int = 50,
    batch_size: int | None = None,
    seed: int = 0,
) -> Trial:
    """Trains a model for some steps, tells whether it learns, and takes the steps back.

    The steps are the model's own: the compiled optimizer, loss and metrics, and its `train_step`
    where it has one.

    Args:
        model: A compiled `keras.Model`.
        x: As in `check`. Arrays are shuffled with the seed, and come again where they are too few;
            a data set yields its batches in its own order.
        y: Labels, if `x` holds arrays.
        sample_weight: Weights of the samples, if `x` holds arrays.
        steps: Number of batches to train on.
        batch_size: As in `check`.
        seed: Seed of the order of arrays.

    Returns:
        The trial: its curves, the sizes of its updates, and a verdict with its reason.

    Raises:
        TypeError: `model` is not a Keras model.
        ValueError: An argument is out of its range.
        DataError: The data yields no usable batch, or lacks labels.
        ProbeError: The model is not compiled, or does not train on the data.

    Cost: the steps, the time to compile them, and the memory of all variables once more. Side
    effects: weights, optimizer, metrics, seeds and random states are put back bitwise, also after
    an error or Ctrl-C (an unbuilt model is built). A generator or an iterator loses `steps` items.
    """
    probe = Probe(model, seed=seed)
    batches = take_batches(x, y, sample_weight, batch_size, count=as_steps(steps), seed=probe.seed)
    return run_trial(model, batches, build=probe.build)


def assert_healthy(model: Any, x: Any = None, y: Any = None, **options: Any) -> None:
    """Asserts that `check` reports no warning and no error; for a project's own tests.

    Args:
        model: As in `check`.
        x: As in `check`.
        y: As in `check`.
        **options: The other arguments of `check`.

    Raises:
        AssertionError: There are warnings or errors; the message is the printed report.
    """
    report = check(model, x, y, **options)
    if not report.ok:
        raise AssertionError(f"{report.verdict}\n{report}")


def _check_trained(model: Any, allow_trained: bool) -> None:
    steps = steps_taken(model)
    if steps and not allow_trained:
        raise ValueError(
            "`model` must be untrained, because a repair loses its weights. Received:"
            f" {model.name!r}, whose optimizer has made {steps} step{'s' * (steps > 1)}. Pass"
            " allow_trained=True if that is what you want."
        )
