"""Synthetic profiles: networks of a few layers whose numbers are known by hand."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.data import Labels, OutputStats, TabularInput
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Moments, Places
from keras_initcheck.rules.thresholds import DEFAULTS

HALF = {"relu": 0.5, None: 1.0}


def findings_of(rule, profile, thresholds=DEFAULTS):
    """The findings of one rule in a profile."""
    return list(rule.check(Evidence(profile), thresholds))


def moments(second_moment=1.0, **changes):
    facts = {
        "mean": 0.0,
        "variance": second_moment,
        "max_abs": 3.0 * second_moment,
        "share_zero": 0.0,
        "share_nonfinite": 0.0,
    }
    return Moments(
        **{**facts, "batch_share": 0.5, "num_elements": 4096, "share_dead": 0.0, **changes},
        second_moment=second_moment,
    )


def places(h=1.0, z=1.0, x=1.0):
    """Places with those second moments; a `Moments` stands for itself, `None` for nothing
    measured.
    """
    return Places(
        *(each if isinstance(each, (Moments, type(None))) else moments(each) for each in (x, z, h))
    )


def kernel(layer, variance, fan_in=64.0, fan_out=64.0, **changes):
    shape = (int(fan_in), int(fan_out))
    values = moments(variance, num_elements=shape[0] * shape[1])
    facts = {
        "name": f"{layer}/kernel",
        "site": 0,
        "role": "kernel",
        "shape": shape,
        "fan_in": fan_in,
        "fan_out": fan_out,
        "moments": values,
    }
    facts |= {"norm": 1.0, "fingerprint": float(sum(map(ord, layer))), "is_trainable": True}
    return WeightStats(layer=layer, **{**facts, **changes})


def site(name, kind="other", **changes):
    layer_type = {"normalization": "BatchNormalization", "merge": "Add"}.get(kind, kind.title())
    facts = {
        "layer_type": layer_type,
        "input_shape": (8, 64),
        "output_shape": (8, 64),
        "activations": places(),
        "random_gradients": places(),
    }
    facts |= changes
    if kind != "weight" and facts.get("inputs_known", True):
        facts["activations"] = replace(facts["activations"], x=None)
    return SiteStats(index=0, name=name, layer=name.partition("#")[0], kind=kind, **facts)


def weight_layer(
    name, variance=2 / 64, fan_in=64.0, fan_out=64.0, activation="relu", kernels=None, **changes
):
    """A site with its kernel, and the ratios that He et al. (2015) give for it. `chain=0` unless
    told.
    """
    factor = HALF.get(activation, 0.5)
    ratios = {
        "predicted_forward_ratio": fan_in * variance * factor,
        "predicted_backward_ratio": fan_out * variance * factor,
    }
    facts = {"layer_type": "Dense", "activation": activation, "chain": 0, **ratios, **changes}
    return site(name, "weight", **facts), (
        kernels if kernels is not None else [kernel(name, variance, fan_in, fan_out)]
    )


def head(name="head", **changes):
    return weight_layer(
        name, 1 / 64, activation=None, **{"is_head": True, "chain": None, **changes}
    )


def chain(*layers, **changes):
    """A profile of those sites (or pairs of a site and its kernels), each fed by the one before
    unless it names its `inputs`.
    """
    sites, weights = [], []
    for index, layer in enumerate(layers):
        each, kernels = layer if isinstance(layer, tuple) else (layer, [])
        inputs = each.inputs or ((index - 1,) if index and each.inputs_known else ())
        sites.append(replace(each, index=index, inputs=inputs))
        weights += [replace(weight, site=index) for weight in kernels]
    return Profile.of(
        **{
            "model": "net",
            "sites": tuple(sites),
            "weights": tuple(weights),
            "batch_size": 8,
            **changes,
        }
    )


def labels(minimum=0.0, maximum=9.0, **changes):
    """Class numbers of ten classes, unless told."""
    facts = {
        "mean": (minimum + maximum) / 2,
        "deviation": 2.9,
        "absolute_deviation": 2.5,
    }
    return Labels(minimum, maximum, **{**facts, **changes})


def target(loss="sparse_categorical_crossentropy", **changes):
    """A softmax over ten classes that guesses, unless told."""
    facts = {
        "name": "out",
        "site": 1,
        "activation": "softmax",
        "width": 10,
        "from_logits": False,
        "value": 2.3,
        "minimum": 0.0,
    }
    return OutputStats(
        loss=loss,
        **{**facts, "maximum": 1.0, "logit_deviation": 1.0, "labels": labels(), **changes},
    )


def regression(mean=0.0, deviation=1.0, **changes):
    """A linear output of about unit size with such labels."""
    extent = labels(
        mean - 2 * deviation,
        mean + 2 * deviation,
        mean=mean,
        deviation=deviation,
        absolute_deviation=0.8 * deviation,
    )
    facts = {
        "activation": None,
        "width": 1,
        "value": mean**2 + deviation**2 + 1,
        "minimum": -2.0,
        "maximum": 2.0,
        "labels": extent,
    }
    return target("mean_squared_error", **{**facts, **changes})


def columns(ratio, share=0.99, **changes):
    """A table of 13 columns, the last of which is `ratio` times as large as the others."""
    facts = {
        "input": "x",
        "width": 13,
        "largest": (12,),
        "share": share,
        "root_mean_square": ratio,
        "median": 1.0,
    }
    return TabularInput(**{**facts, **changes})


@pytest.fixture
def make():
    """The builders of this file."""
    builders = (
        moments,
        places,
        kernel,
        site,
        weight_layer,
        head,
        chain,
        labels,
        target,
        regression,
        columns,
    )
    return SimpleNamespace(**{builder.__name__: builder for builder in builders})


@pytest.fixture
def broken():
    """Moments of a tensor that is NaN throughout."""
    return moments(0.0, max_abs=0.0, share_nonfinite=1.0)


@pytest.fixture
def zero():
    """Moments of a tensor that is zero throughout."""
    return moments(0.0, max_abs=0.0, share_zero=1.0)


@pytest.fixture
def healthy():
    """Six He layers with ReLU and a head."""
    return chain(
        *(weight_layer(f"dense_{number}") for number in range(6)),
        head(),
        inputs=(("x", moments()),),
        loss=2.3,
    )
