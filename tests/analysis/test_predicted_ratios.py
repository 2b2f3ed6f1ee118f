import pytest

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import BACKWARD, FORWARD


def the_ratio(make, direction=FORWARD, kernels=None, **changes):
    site, own = make.weight_layer("layer", 2 / 64, **changes)
    evidence = Evidence(make.chain((site, kernels or own)))
    return evidence.ratio(evidence.site(0), direction)


def test_he_is_a_half_times_fan_in_times_variance(make):
    found = the_ratio(make)
    assert str(found) == "½ · 64 · 0.0312 = 1"
    assert found.formula == "½ n Var[w]"
    assert found.log_ratio == 0.0


def test_linear_layer_has_no_factor_for_its_activation(make):
    assert str(the_ratio(make, activation=None)) == "64 · 0.0312 = 2"


def test_other_activations_show_their_number(make):
    found = the_ratio(make, BACKWARD, activation="tanh", predicted_backward_ratio=0.928806)
    assert str(found) == "0.464 · 64 · 0.0312 = 0.929"
    assert found.formula == "E[f'²] n̂ Var[w]"


@pytest.mark.parametrize(("mean", "words"), [(0.3, "Var[w]"), (0.33, "E[w²]")])
def test_second_moment_with_a_mean_is_not_called_a_variance(make, mean, words):
    kernels = [make.kernel("layer", 1.0, moments=make.moments(1.0, mean=mean))]
    assert words in the_ratio(make, kernels=kernels).formula


@pytest.mark.parametrize("ratio", [None, 0.0, float("inf"), float("nan")])
def test_ratio_that_is_no_scale_is_no_factor(make, ratio):
    assert the_ratio(make, predicted_forward_ratio=ratio) is None


def test_separable_convolution_multiplies_its_kernels(make):
    shapes = {
        "layer_type": "SeparableConv2D",
        "input_shape": (1, 16, 16, 8),
        "output_shape": (1, 8, 8, 32),
    }
    depthwise = make.kernel("layer", 0.1, 9.0, 9 * 2 / 4, shape=(3, 3, 8, 2))
    pointwise = make.kernel("layer", 0.2, 16.0, 32.0, shape=(1, 1, 16, 32))
    found = the_ratio(
        make,
        BACKWARD,
        kernels=[depthwise, pointwise],
        predicted_backward_ratio=4.5 * 0.1 * 32 * 0.2,
        **shapes,
    )
    assert found.fan == pytest.approx(9 * 2 * 32)  # n̂ = k² m d, without the stride
    assert found.variance == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("layer_type", "shapes", "fans", "kernel_shape", "expected"),
    [
        ("Conv2D", ((1, 16, 16, 8), (1, 8, 8, 32)), (72.0, 72.0), (3, 3, 8, 32), 288.0),
        ("Conv2D", ((1, 8, 16, 16), (1, 32, 8, 8)), (72.0, 72.0), (3, 3, 8, 32), 288.0),
        ("Conv2D", ((1, 4, 4, 8), (1, 2, 2, 32)), (72.0, 288.0), (3, 3, 8, 32), 288.0),
        ("Conv2DTranspose", ((1, 8, 8, 8), (1, 16, 16, 32)), (18.0, 288.0), (3, 3, 32, 8), 288.0),
        ("DepthwiseConv2D", ((1, 16, 16, 8), (1, 8, 8, 8)), (9.0, 2.25), (3, 3, 8, 1), 9.0),
    ],
    ids=["stride 2", "channels first", "valid padding", "transposed", "depthwise"],
)
def test_backward_fan_is_he_et_als_without_the_stride(
    make, layer_type, shapes, fans, kernel_shape, expected
):
    kernels = [make.kernel("layer", 0.1, *fans, shape=kernel_shape)]
    changes = {"layer_type": layer_type, "input_shape": shapes[0], "output_shape": shapes[1]}
    assert the_ratio(make, BACKWARD, kernels=kernels, **changes).fan == pytest.approx(expected)


def test_unknown_factor_parts_a_chain(make):
    layers = [
        make.weight_layer("a"),
        make.weight_layer("softmax", predicted_forward_ratio=None),
        make.weight_layer("c"),
        make.head(),
    ]
    evidence = Evidence(make.chain(*layers))
    runs = [evidence.run(FORWARD, number) for number in range(len(evidence.runs(FORWARD)))]
    assert [[each.site.name for each in run] for run in runs] == [["a"], ["c"]]
