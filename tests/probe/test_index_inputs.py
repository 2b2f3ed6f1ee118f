"""What enters embeddings, on every backend, where a framework would stop at it or give NaN."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_initcheck as ic

BATCH, LENGTH, ROWS = 16, 5, 4
IDS = np.random.default_rng(0).integers(0, 2 * ROWS, (BATCH, LENGTH))
LABELS = np.random.default_rng(1).standard_normal((BATCH, 1)).astype("float32")


def functional(name="tab", dtype="int32", rows=ROWS):
    """An embedding that takes the model's input."""
    start = keras.Input((LENGTH,), dtype=dtype, name=name)
    x = layers.Flatten()(layers.Embedding(rows, 8, name="table")(start))
    return keras.Model(start, layers.Dense(1)(x))


class Shifted(keras.Model):
    """An embedding whose ids a model makes itself."""

    def __init__(self):
        super().__init__()
        self.table, self.out = layers.Embedding(ROWS, 8), layers.Dense(1)

    def call(self, inputs):
        return self.out(keras.ops.mean(self.table(inputs + 2), axis=1))


def measured(model, x):
    """What the probe says of the one embedding."""
    model.compile("adam", "mse")
    report = ic.check(model, x, LABELS)
    (found,) = report.profile.index_inputs
    return found, report


def test_ids_of_the_table_are_measured(x=IDS % ROWS):
    found, report = measured(functional(), x)
    assert (found.input, found.num_rows) == ("tab", ROWS)
    assert (found.minimum, found.maximum, found.share_outside) == (0.0, 3.0, 0.0)
    assert report.profile.first_step is not None


def test_ids_beyond_the_table_do_not_end_the_probe():
    found, report = measured(functional(), IDS)
    assert (found.minimum, found.maximum) == (0.0, 7.0)
    assert found.share_outside == pytest.approx((IDS >= ROWS).mean())
    assert report.profile.loss is not None
    assert np.isfinite(report.profile.loss)
    assert ("first step", "an embedding gets indices that it has no row for") in (
        report.profile.not_probed
    )
    assert [(each.code, each.severity) for each in report.findings if each.code == "IC409"] == [
        ("IC409", "error")
    ]


def test_fractions_are_seen_before_keras_casts_them():
    found, _ = measured(functional(), (IDS / 10).astype("float32"))
    assert found.share_fractional == pytest.approx((IDS % 10 != 0).mean())


def test_ids_that_a_model_makes_itself_are_measured_where_they_enter():
    found, _ = measured(Shifted(), IDS.astype("int32"))
    assert (found.input, found.minimum, found.maximum) == ("", 2.0, 9.0)
    assert found.share_outside == pytest.approx((IDS + 2 >= ROWS).mean())


def test_input_without_a_name_of_its_authors_is_the_input():
    found, _ = measured(functional(name=None), IDS)
    assert found.input == "input"


BY_NAME = pytest.param(
    True,
    marks=pytest.mark.skipif(
        keras.__version__.startswith("3.5."),
        reason="Keras 3.5 takes a dict's values in the order of its sorted keys, in fit too",
    ),
    id="dict",
)


@pytest.mark.parametrize("is_dict", [BY_NAME, pytest.param(False, id="list")])
def test_inputs_have_the_names_that_their_author_gave_them(is_dict):
    word = keras.Input((LENGTH,), dtype="int32", name="word")
    size = keras.Input((3,), name="size")
    parts = [layers.Flatten()(layers.Embedding(8, 8)(word)), layers.Dense(4)(size)]
    model = keras.Model([word, size], layers.Dense(1)(layers.Concatenate()(parts)))
    x = {"word": IDS, "size": np.ones((BATCH, 3), "float32")}
    found, report = measured(model, x if is_dict else list(x.values()))
    assert found.input == "word"
    assert report.profile.structure.inputs == ("size",)
    assert ("size",) in [site.model_inputs for site in report.profile.structure.sites]


def test_way_back_of_a_shared_table_takes_no_indices():
    table = getattr(layers, "ReversibleEmbedding", None)
    if table is None:
        pytest.skip("this release of Keras has no ReversibleEmbedding")
    start = keras.Input((LENGTH,), dtype="int32")
    shared = table(8, 8)
    model = keras.Model(
        start, layers.Dense(1)(layers.Flatten()(shared(shared(start), reverse=True)))
    )
    found, _ = measured(model, IDS)
    assert (found.maximum, found.share_outside) == (7.0, 0.0)


def test_penalties_of_weights_are_measured_beside_the_loss():
    start = keras.Input((4,))
    layer = layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.5))
    model = keras.Model(start, layer(start))
    model.compile("adam", "mse")
    report = ic.check(model, np.ones((BATCH, 4), "float32"), LABELS)
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    assert report.profile.regularization == pytest.approx(0.5 * np.square(kernel).sum(), rel=1e-5)


def test_activations_without_weights_between_are_both_known():
    start = keras.Input((4,))
    x = layers.Reshape((1,))(layers.Dense(1, "tanh")(start))
    model = keras.Model(start, layers.Activation("sigmoid")(x))
    model.compile("adam", "binary_crossentropy")
    report = ic.check(model, np.ones((BATCH, 4), "float32"), (LABELS > 0).astype("float32"))
    (output,) = report.profile.outputs
    assert (output.activation, output.inner_activation) == ("sigmoid", "tanh")
