import pytest

from keras_initcheck.rules.layer_ratio import LayerRatio
from tests.support.profiles import findings_of


def check(make, *layers):
    return list(
        findings_of(
            LayerRatio(), make.chain(make.site("embedding", "embedding"), *layers, make.head())
        )
    )


def test_glorot_with_relu_is_information(make):
    (finding,) = check(make, make.weight_layer("dense", 1 / 64))
    assert finding.severity == "info"
    assert finding.measured == 0.5
    assert finding.message == (
        "1 layer makes the signal 1.4 times weaker: `dense`. Harmless by itself."
    )
    assert "as ½ n Var[w]: `dense` ½ · 64 · 0.0156 = 0.5" in finding.details


def test_all_layers_are_told_in_one_finding(make):
    """Glorot halves the mean square of the signal, or of the gradient alone where a layer grows."""
    layers = [make.weight_layer(f"dense_{k}", 1 / 64) for k in range(4)]
    widening = make.weight_layer("wide", 2 / 64, 64.0, 256.0)
    loud = make.weight_layer("loud", 8 / 64)
    (finding,) = check(make, *layers, widening, loud)
    assert finding.message == (
        "4 layers make the signal 1.4 times weaker each: `dense_0`, `dense_1`, `dense_2` and 1"
        " more; 1 layer makes the signal 2 times stronger: `loud`; 1 layer makes the gradient 2"
        " times stronger: `wide`. Harmless by themselves."
    )
    assert finding.site == "wide"  # the first of the worst
    assert len(finding.culprits) == 6


def test_he_is_silent(healthy):
    assert not list(findings_of(LayerRatio(), healthy))


@pytest.mark.parametrize(("ratio", "count"), [(1.49, 0), (1.51, 1), (1 / 1.49, 0), (1 / 1.51, 1)])
def test_boundary_of_a_wide_layer_is_one_and_a_half(make, ratio, count):
    assert len(check(make, make.weight_layer("dense", 2 / 64 * ratio))) == count


@pytest.mark.parametrize(("ratio", "count"), [(4.8, 0), (5.0, 1)])
def test_boundary_of_a_layer_of_sixteen_weights_is_chance(make, ratio, count):
    assert (
        len(check(make, make.weight_layer("dense", 2 / 4 * ratio, 4.0, 4.0))) == count
    )  # exp(4.5 sqrt(2/16)) = 4.91


def test_first_layer_on_the_data_is_judged_forward_only(make):
    narrowing = make.weight_layer("dense", 2 / 64, 64.0, 16.0)
    assert not list(findings_of(LayerRatio(), make.chain(narrowing, make.head())))
    assert len(check(make, narrowing)) == 1


@pytest.mark.parametrize(
    "changes",
    [{"is_head": True}, {"activation": "unknown"}, {"name": "dense#2"}],
    ids=["head", "unknown activation", "second call of a shared layer"],
)
def test_is_silent_where_it_cannot_judge(make, changes):
    name = changes.pop("name", "dense")
    assert not check(make, make.weight_layer(name, 0.5, **changes))


@pytest.mark.parametrize(
    ("kind", "layer_type"),
    [("normalization", "BatchNormalization"), ("merge", "Multiply")],
    ids=["normalization", "gate"],
)
def test_is_silent_where_scale_has_another_meaning(make, kind, layer_type):
    assert not check(
        make, make.weight_layer("dense", 0.5), make.site("after", kind, layer_type=layer_type)
    )
