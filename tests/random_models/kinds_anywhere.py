"""Steps that any stream can take, merges, and layers of the user's own."""

from keras import layers as L  # noqa: N812
from keras import ops

from tests.random_models import custom
from tests.random_models.description import LENGTH, VOCABULARY, WIDTH
from tests.random_models.kind import (
    ACTIVE,
    CONSTRAINTS,
    REGULARIZERS,
    Kind,
    by_keyword,
    first_of_tuple,
    gated,
    join,
    only,
    own,
    raw,
    sum_of_dict,
    watch,
)


def dense(activation=None, regularizer=None, constraint=None, activity=None):
    return [
        L.Dense(
            WIDTH,
            activation,
            kernel_regularizer=regularizer,
            kernel_constraint=constraint,
            activity_regularizer=activity,
        ),
    ]


ANYWHERE = {
    "dense": Kind(
        "any",
        "same",
        dense,
        options={
            **ACTIVE,
            "regularizer": REGULARIZERS,
            "constraint": CONSTRAINTS,
            "activity": REGULARIZERS[:3],
        },
    ),
    "batch_norm": Kind(
        "any",
        "same",
        lambda scale=True: [L.BatchNormalization(scale=scale)],
        options={"scale": (True, False)},
    ),
    "layer_norm": Kind("any", "same", lambda: [L.LayerNormalization()]),
    "rms_norm": Kind("any", "same", lambda: [L.RMSNormalization()]),
    "unit_norm": Kind("any", "same", lambda: [L.UnitNormalization()]),
    "group_norm": Kind("any", "same", lambda: [L.GroupNormalization(3)]),
    "spectral_norm": Kind(
        "vector", "same", lambda: [L.SpectralNormalization(L.Dense(WIDTH))], is_exact=False
    ),
    "activation": Kind(
        "any",
        "same",
        lambda activation="relu": [L.Activation(activation or "linear")],
        options=ACTIVE,
    ),
    "prelu": Kind("any", "same", lambda: [L.PReLU()]),
    "leaky": Kind("any", "same", lambda: [L.LeakyReLU()]),
    "softmax": Kind("any", "same", lambda: [L.Softmax()]),
    "dropout": Kind(
        "any",
        "same",
        lambda seed=None: [L.Dropout(0.5, seed=seed)],
        options={"seed": (None, 3)},
        is_exact=False,
    ),
    "alpha_dropout": Kind("any", "same", lambda: [L.AlphaDropout(0.2)], is_exact=False),
    "gaussian_noise": Kind("any", "same", lambda: [L.GaussianNoise(0.1)], is_exact=False),
    "gaussian_dropout": Kind("any", "same", lambda: [L.GaussianDropout(0.2)], is_exact=False),
    "activity": Kind("any", "same", lambda: [L.ActivityRegularization(l2=0.01)]),
    "lambda": Kind("any", "same", lambda: [L.Lambda(lambda x: x * 2.0)]),
    "identity": Kind("any", "same", lambda: [L.Identity()]),
    "rescaling": Kind("any", "same", lambda: [L.Rescaling(0.5, offset=0.1)]),
    "raw_scale": raw(lambda x: 0.5 * x + 1.0),
    "raw_tanh": raw(ops.tanh),
    "raw_gate": raw(lambda x: x * ops.sigmoid(x)),
    "raw_mean": raw(lambda x: x - ops.mean(x, axis=-1, keepdims=True)),
    "raw_split": raw(
        lambda x: ops.concatenate([x[..., WIDTH // 2 :], ops.relu(x[..., : WIDTH // 2])], axis=-1)
    ),
    "raw_reverse": raw(lambda x: ops.flip(x, axis=-1)),
    "stop_gradient": raw(lambda x: x + ops.stop_gradient(x)),
}
MERGES = {
    "add": Kind("any", "same", lambda: [L.Add()], only, number=2),
    "subtract": Kind("any", "same", lambda: [L.Subtract()], only, number=2),
    "multiply": Kind("any", "same", lambda: [L.Multiply()], only, number=2),
    "average": Kind("any", "same", lambda: [L.Average()], only, number=2),
    "maximum": Kind("any", "same", lambda: [L.Maximum()], only, number=2),
    "concatenate": Kind("any", "same", lambda: [L.Concatenate(), L.Dense(WIDTH)], join, number=2),
    "raw_add": raw(lambda a, b: a + b, number=2),
    "raw_multiply": raw(lambda a, b: a * ops.tanh(b), number=2),
    "takes_dict": own("TakingADict", apply=gated, number=2),
    "by_keyword": own("ScaledByAKeyword", apply=by_keyword, number=2),
    "cross_attention": Kind(
        "sequence",
        "same",
        lambda: [L.MultiHeadAttention(2, 3)],
        lambda layers, a, b: layers[0](a, b, return_attention_scores=False),
        number=2,
    ),
}
VECTORS = {
    "einsum": Kind(
        "vector",
        "same",
        lambda activation=None: [L.EinsumDense("ab,bc->ac", WIDTH, activation, bias_axes="c")],
        options=ACTIVE,
    ),
    "repeat": Kind("vector", "sequence", lambda: [L.RepeatVector(LENGTH)]),
    "to_image": Kind(
        "vector", "image", lambda: [L.Dense(WIDTH * LENGTH**2), L.Reshape((LENGTH, LENGTH, WIDTH))]
    ),
    "embedding": Kind(
        "ids",
        "sequence",
        lambda mask_zero=False: [L.Embedding(VOCABULARY, WIDTH, mask_zero=mask_zero)],
        options={"mask_zero": (False, True)},
    ),
    "one_hot": Kind(
        "ids", "sequence", lambda: [L.CategoryEncoding(VOCABULARY, "one_hot"), L.Dense(WIDTH)]
    ),
}
CUSTOM = {
    "remembering": own("Remembering"),
    "holding_an_object": own("HoldingAnObject"),
    "adding_loss": own("AddingLoss"),
    "measuring": own("Measuring"),
    "counting": own("Counting"),
    "raw_variable": own("CountingInTheFramework", backends=("tensorflow", "torch")),
    "global_seed": own(
        "DrawingFromTheGlobalSeed", backends=("tensorflow", "torch"), is_exact=False
    ),
    "own_seed": own("DrawingFromItsSeed", is_exact=False),
    "framework_random": own(
        "DrawingFromTheFramework", backends=("tensorflow", "torch"), is_exact=False
    ),
    "numpy_random": own("DrawingFromNumPy", is_exact=False),
    "unused_layer": own("HoldingAnUnusedLayer"),
    "own_matrix": own("WithOwnMatrix"),
    "gives_tuple": Kind("any", "same", lambda: [custom.GivingATuple(WIDTH)], first_of_tuple),
    "gives_dict": Kind("any", "same", lambda: [custom.GivingADict(WIDTH)], sum_of_dict),
    "loop": Kind("any", "same", lambda: [custom.RunningALayerTwice(WIDTH)]),
    "raising": own("Raising", is_exact=False),
}
ONLY_SUBCLASSED = {
    "gives_none": Kind("any", "same", lambda: [custom.GivingNone()], watch),
    "autocast_off": Kind("any", "same", lambda: [L.Dense(WIDTH, autocast=False, dtype="float32")]),
}


def torch_module():
    import torch

    return [
        L.TorchModuleWrapper(
            torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH), torch.nn.BatchNorm1d(WIDTH))
        )
    ]


CUSTOM["torch_module"] = Kind("vector", "same", torch_module, backends=("torch",), is_exact=False)
