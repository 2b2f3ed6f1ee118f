import pytest

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import BACKWARD, FORWARD
from keras_initcheck.rules.initializers import advice


def the_ratio(profile, direction):
    evidence = Evidence(profile)
    return evidence.ratio(evidence.site(0), direction)


def advise(
    make, activation, direction=FORWARD, variance=1e-3, fan_in=64.0, fan_out=64.0, **changes
):
    site, kernels = make.weight_layer(
        "dense", variance, fan_in, fan_out, activation=activation, **changes
    )
    profile = make.chain((site, kernels))
    return advice(the_ratio(profile, direction), kernels)


@pytest.mark.parametrize(
    ("activation", "words"),
    [
        ("relu", '"he_normal"'),
        ("leaky_relu", '"he_normal"'),
        ("selu", '"lecun_normal"'),
        ("tanh", '"glorot_normal"'),
        (None, '"glorot_normal".'),
        ("silu", 'VarianceScaling(2.81, "fan_in")'),
        ("gelu", 'VarianceScaling(2.35, "fan_in")'),
        ("my_activation", 'VarianceScaling(2, "fan_in")'),
        ("unknown", "whose name is not known here"),
        ("sigmoid", "no initializer keeps the gradient of sigmoid"),
    ],
)
def test_initialiser_fits_the_activation(make, activation, words):
    assert words in advise(make, activation)


def test_glorot_that_does_not_fit_is_not_recommended_again(make):
    assert '"lecun_normal"' in advise(
        make, "tanh", variance=2 / (27 + 512), fan_in=27.0, fan_out=512.0
    )


def test_right_kernel_is_not_blamed_for_what_arrives(make):
    assert "Look at the layers before" in advise(make, "relu", variance=2 / 64)


@pytest.mark.parametrize(("fan_out", "word"), [(8.0, "narrows"), (512.0, "widens")])
def test_right_fan_in_is_split_with_the_gradient(make, fan_out, word):
    text = advise(make, "relu", BACKWARD, variance=2 / 64, fan_out=fan_out)
    assert word in text
    assert 'VarianceScaling(2, "fan_avg")' in text


def test_depthwise_kernel_gets_a_number_because_keras_counts_other_fans(make):
    kernels = [make.kernel("conv", 2e-4, 9.0, 9.0, shape=(3, 3, 64, 1))]
    site, _ = make.weight_layer("conv", 2e-4, 9.0, 9.0, layer_type="DepthwiseConv2D")
    profile = make.chain((site, kernels))
    assert "RandomNormal(stddev=0.471)" in advice(
        the_ratio(profile, FORWARD), kernels
    )  # sqrt(2 / 9)


def einsum(make, activation, variance, shape, fan_in, fan_out):
    kernels = [make.kernel("einsum", variance, fan_in, fan_out, shape=shape)]
    site, _ = make.weight_layer(
        "einsum", variance, fan_in, fan_out, activation=activation, layer_type="EinsumDense"
    )
    profile = make.chain((site, kernels))
    return advice(the_ratio(profile, FORWARD), kernels)


def test_einsum_kernel_gets_a_number_that_serves_every_release_of_keras(make):
    """Queries of 8 heads: he_normal counts 64 * 8 inputs before Keras 3.15, and 64 from there
    on.
    """
    text = einsum(make, "relu", 1e-4, (64, 8, 16), 64.0, 128.0)
    assert "RandomNormal(stddev=0.177)" in text  # sqrt(2 / 64)
    assert "only from release 3.15 on" in text


@pytest.mark.parametrize("assumed", [64 + 4 * 256, 64 + 256], ids=["Keras 3.14", "Keras 3.15"])
def test_glorot_draw_of_either_release_is_not_told_glorot_again(make, assumed):
    """An attention's output, 4 heads of 16 to 256: the fan-in is 64 for both."""
    assert '"lecun_normal"' in einsum(make, "tanh", 2 / assumed, (4, 16, 256), 64.0, 256.0)
