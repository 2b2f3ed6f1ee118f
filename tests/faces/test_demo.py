import contextlib
import io
import math
import sys

import keras
import numpy as np
import pytest
from rich.cells import cell_len

pytest.importorskip("sklearn")

from keras_initcheck.cli import main
from keras_initcheck.demo import explanation
from keras_initcheck.demo.alexnet import SubtractMean, alexnet
from keras_initcheck.demo.digits import Training, network
from keras_initcheck.demo.photographs import photographs
from keras_initcheck.demo.schemes import GLOROT, HE, NORMAL, Bench, spreads
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.records.errors import InitCheckError

NARROW = 1 / 32
LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]


@pytest.fixture(scope="module")
def bench():
    return Bench(take_batch(photographs(num_crops=4)[0]), NARROW)


@pytest.fixture(scope="module")
def normal(bench):
    return bench.measure(NORMAL)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """The quick demo: exit status, what it printed, and its log directory."""
    log_dir = tmp_path_factory.mktemp("demo") / "logs"
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = main(["--demo", "--quick", "--width", "80", "--log-dir", str(log_dir)])
    return code, out.getvalue(), error.getvalue(), log_dir


def test_alexnet_has_the_published_number_of_parameters():
    assert (
        alexnet("zeros").count_params() == 62_378_344
    )  # one tower: the count that is quoted for AlexNet without grouped convolutions


def test_alexnet_has_the_published_feature_maps():
    model = alexnet("zeros", width=NARROW)
    shapes = [
        model.get_layer(name).output.shape[1]
        for name in ("conv1", "conv1_pool", "conv2_pool", "conv5_pool")
    ]
    assert shapes == [55, 27, 13, 6]


def test_alexnet_draws_each_kernel_anew_from_one_initializer():
    model = alexnet(keras.initializers.RandomNormal(stddev=1.0), width=NARROW)
    kernels = [np.asarray(model.get_layer(name).kernel).ravel()[:5] for name in LAYERS]
    assert len({tuple(kernel.tolist()) for kernel in kernels}) == len(LAYERS)


def test_alexnet_subtracts_the_mean_behind_each_relu():
    model = alexnet("zeros", subtract_mean=True, width=NARROW)
    assert [layer.name for layer in model.layers if isinstance(layer, SubtractMean)] == [
        f"{name}_centered" for name in LAYERS[:-1]
    ]


def test_subtract_mean_leaves_the_mean_of_the_whole_batch_at_0():
    assert np.asarray(SubtractMean()(np.array([[1.0, 3.0], [5.0, 7.0]]))).tolist() == [
        [-3.0, -1.0],
        [1.0, 3.0],
    ]


def test_photographs_are_standardised_crops_of_both_pictures():
    crops, labels = photographs(num_crops=4, seed=1)
    assert crops.shape == (4, 227, 227, 3)
    assert crops.dtype == np.float32
    assert (crops.mean(), crops.std()) == pytest.approx((0, 1), abs=1e-4)
    assert labels.tolist() == [0, 1, 0, 1]
    assert not np.array_equal(crops[0], crops[2])
    assert np.array_equal(crops, photographs(num_crops=4, seed=1)[0])


def test_missing_scikit_learn_is_one_line_with_the_remedy(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InitCheckError, match=r"pip install 'keras_initcheck\[demo\]'"):
        photographs()
    assert main(["--demo"]) == 2
    assert "scikit-learn" in capsys.readouterr().err.splitlines()[-1]


def test_scaled_draw_gives_the_spreads_that_homogeneity_predicts(bench, normal):
    # ReLU and max pooling are homogeneous and biases are 0: a kernel times s is a signal times s
    # from there on
    model = alexnet("zeros", width=NARROW)
    factor, expected = 1.0, []
    for name in LAYERS:
        shape = model.get_layer(name).kernel.shape
        factor *= math.sqrt(2 / math.prod(shape[:-1]))
        expected.append(factor * spreads(normal)[name])
    assert list(spreads(bench.measure(HE)).values()) == pytest.approx(expected, rel=1e-3)


def test_glorot_takes_keras_own_fans(bench):
    bench.measure(GLOROT)
    limits = keras.initializers.GlorotNormal(seed=0)((3, 3, 64, 64))
    assert GLOROT.weight_std(3 * 3 * 64, 3 * 3 * 64) == pytest.approx(
        float(np.std(np.asarray(limits))), rel=0.02
    )


def test_first_layer_is_the_same_with_and_without_subtraction(bench, normal):
    subtracted = bench.measure_with_mean_subtracted(NORMAL)
    assert spreads(subtracted)["conv1"] == pytest.approx(spreads(normal)["conv1"], rel=1e-5)
    assert spreads(subtracted)["fc8"] < spreads(normal)["fc8"]


def test_verdicts_tell_the_numbers_of_the_table():
    layers = dict.fromkeys(LAYERS, 0.0)
    columns = {
        "N(0,1)": {name: 10.0**power for power, name in enumerate(layers)},
        "mean subtracted": {name: 8.0**power for power, name in enumerate(layers)},
        "Glorot": {name: 0.5**power for power, name in enumerate(layers)},
        "He": dict.fromkeys(layers, 1.0),
    }
    texts = explanation.verdicts(columns)
    assert texts["N(0,1)"] == "Each layer multiplies the standard deviation by 10 to 10."
    assert "removes 20% at each layer (in theory 17%" in texts["mean subtracted"]
    assert "each layer multiplies the standard deviation by 0.50" in texts["Glorot"]
    assert "the standard deviation by 1.00 to 1.00, and by 1.00 to 1.00 across" in texts["He"]


def test_training_that_ends_in_nan_says_so():
    assert explanation.training_result(Training(0.1, math.nan, None)) == (
        "10.0% of the test images classified correctly, the loss became NaN. InitCheck made no"
        " report."
    )


def test_digits_network_takes_an_initialiser_for_each_layer():
    numbers = []
    network(lambda number: numbers.append(number) or "zeros")
    assert numbers == [1, 2, 3, 4, 5, 6]


def test_quick_demo_tells_the_story_in_80_columns(story):
    code, out, error, log_dir = story
    assert code == 0, error
    assert max(map(cell_len, out.splitlines())) <= 80  # n̂ is two characters in one cell
    for part in (
        "A question from a forum",
        "IC102 forward-gain",
        "½ n Var[w]",
        "mean subtracted",
        "The answer",
        f"--logdir {log_dir}",
    ):
        assert part in out


def test_quick_demo_trains_better_with_he_than_with_unit_variance(story):
    right = [
        float(line.split("%")[0].split()[-1])
        for line in story[1].splitlines()
        if "of the test images" in line
    ]
    assert right[0] < 20
    assert right[1] > 60


def test_quick_demo_logs_each_run_for_tensorboard(story):
    runs = {path.name for path in story[3].iterdir() if list(path.glob("initcheck/*tfevents*"))}
    assert runs == {"alexnet_normal", "alexnet_glorot", "alexnet_he", "digits_normal", "digits_he"}
