"""What has to hold for every model: each function takes a case and raises `AssertionError` with
what is wrong.

`NotRunError` tells that Keras itself does not run the case, so that nothing can be compared.
"""

import gc
import io
import json
import warnings
from contextlib import redirect_stdout, suppress

import keras
import numpy as np

import keras_initcheck as ic
from keras_initcheck.records.errors import InitCheckError, InitCheckWarning
from tests.random_models.building import build_model
from tests.random_models.by_plain_pass import compare
from tests.random_models.data import check_data, source_of
from tests.random_models.snapshot import changes, snapshot, values

EPOCHS = 2
METHODS = ("auto", "he", "lsuv", "orthogonal", "fixup")


class NotRunError(Exception):
    """Keras refuses the case."""


def fresh(case):
    """The model of a case in a session of its own. Keras' own warnings (masks that a layer
    destroys) are none of this tool's.
    """
    if not gc.get_freeze_count():
        # The frameworks' million objects, through which the collection in `clear_session` would
        # walk each time.
        gc.freeze()
    keras.backend.clear_session()
    warnings.simplefilter("ignore")
    warnings.filterwarnings("always", category=InitCheckWarning)
    try:
        return build_model(case)
    except Exception as error:
        raise NotRunError(f"building: {type(error).__name__}: {error}") from error


def fit(model, case, callbacks=()):
    with redirect_stdout(io.StringIO()):
        model.fit(
            **source_of(case),
            epochs=EPOCHS,
            verbose=0,
            shuffle=case.training.source == "arrays",
            callbacks=list(callbacks),
        )


def runs_in_keras(case):
    """Whether Keras itself runs the model on the data: in a fit, or in a call in training mode
    where it is not compiled.
    """
    try:
        model = fresh(case)
        if case.training.is_compiled:
            fit(model, case)
        else:
            data = check_data(case)
            model(
                data["x"] if case.training.source == "arrays" else next(iter_of(data["x"]))[0],
                training=True,
            )
    except Exception:
        return False
    return True


def iter_of(data):
    return (
        iter(data[index] for index in range(len(data)))
        if isinstance(data, keras.utils.PyDataset)
        else iter(data)
    )


def checked(case, model, **options):
    """The report on a model, or `None` where probing is rightly refused: Keras does not run it
    either.
    """
    try:
        return ic.check(model, **check_data(case), **options)
    except InitCheckError as error:
        refusal = error
    assert not runs_in_keras(case), f"Keras runs it, the probe refuses: {refusal}"
    return None


def is_checked(case):
    """No crash; what Keras runs is probed; the report survives JSON; no layer with weights goes
    unnamed.
    """
    model = fresh(case)
    if case.extra == "trained" and case.training.is_compiled:
        train_first(model, case)
    report = checked(case, model)
    if report is None:
        raise NotRunError("Keras does not run it")
    survives_json(report)
    names_every_layer(report, model)


def train_first(model, case):
    try:
        fit(model, case)
    except Exception as error:
        raise NotRunError(f"fit: {type(error).__name__}: {error}") from error


def survives_json(report):
    text = report.to_json()
    json.loads(
        text, parse_constant=lambda name: (_ for _ in ()).throw(AssertionError(f"{name} in JSON"))
    )
    again = ic.Report.from_json(text)
    assert again.to_json() == text
    assert repr(again) == repr(report), "the report read from JSON differs"
    assert str(again) == str(report)


def names_every_layer(report, model):
    profile = report.profile
    named = [
        *[site.layer for site in profile.sites],
        *[weight.layer for weight in profile.weights],
        *[path for path, _ in profile.not_probed],
    ]
    parts = {part for name in named for part in name.split("/")}
    owners = [
        layer
        for layer in model._flatten_layers(include_self=False)
        if layer.weights and not list(layer._flatten_layers(False))
    ]
    unnamed = [layer.path for layer in owners if layer.name not in parts]
    assert not unnamed, f"layers with weights that the report does not name: {unnamed}"


def is_unchanged(case):
    """`check` leaves the model and the process bitwise as they were, also where it fails."""
    model = fresh(case)
    if case.style == "subclassed_unbuilt":
        checked(case, model)  # which builds it
    if case.extra == "trained" and case.training.is_compiled:
        train_first(model, case)
    before = snapshot(model)
    with suppress(InitCheckError):
        ic.check(model, **check_data(case), jacobian_spectrum=case.seed % 5 == 0)
    differing = changes(before, snapshot(model))
    assert not differing, f"changed by check: {differing[:8]}"


def trains_the_same(case):
    """A fit after `check`, with the callback, gives bitwise the weights of a plain fit, and the
    callback does not step aside.
    """
    if not case.training.is_compiled:
        raise NotRunError("not compiled")
    plain = fresh(case)
    train_first(plain, case)
    expected, states = values(plain), global_numbers()
    model = fresh(case)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InitCheckWarning)
        fit(
            model,
            case,
            [ic.InitCheck(None, on_drift="ignore", update_freq=1 if case.seed % 2 else "auto")],
        )
    aside = [str(each.message) for each in caught if "steps aside" in str(each.message)]
    assert not aside, aside[0]
    assert_equal(values(model), expected, "the callback")
    assert global_numbers() == states, "global random states differ after a fit with the callback"
    if case.training.source == "arrays":
        after_a_check(case, expected)


def after_a_check(case, expected):
    model = fresh(case)
    checked(case, model)
    fit(model, case)
    assert_equal(values(model), expected, "a check before the fit")


def global_numbers():
    return (float(np.random.get_state()[1].sum()), np.random.get_state()[2])


def assert_equal(found, expected, what):
    differing = [name for (name, *a), (_, *b) in zip(found, expected, strict=True) if a != b]
    assert not differing, f"{what} changes {len(differing)} of {len(expected)} variables"


def is_undone(case):
    """`repair` and `undo` give every value back, and a dry run changes nothing."""
    model = fresh(case)
    if checked(case, model) is None:
        raise NotRunError("Keras does not run it")
    before = values(model)
    repair = ic.repair(model, **check_data(case), method=METHODS[case.seed % len(METHODS)])
    repair.undo()
    assert_equal(values(model), before, f"repair and undo, of {len(repair.steps)} steps,")


def agrees_with_numpy(case):
    """Moments of signals equal those that NumPy finds in a plain forward pass in training mode."""
    model = fresh(case)
    report = checked(case, model)
    if report is None:
        raise NotRunError("Keras does not run it")
    compare(case, model, report)


PROPERTIES = {
    "checked": is_checked,
    "unchanged": is_unchanged,
    "trained": trains_the_same,
    "undone": is_undone,
    "numbers": agrees_with_numpy,
}
