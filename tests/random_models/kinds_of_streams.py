"""Steps that a sequence or an image takes: recurrent layers, attention, convolutions, pooling,
augmentation.
"""

from keras import layers as L  # noqa: N812

from tests.random_models.description import LENGTH, WIDTH
from tests.random_models.kind import (
    ACTIVE,
    Kind,
    attend,
    attend_list,
    last_step,
    mean_of_steps,
    row,
)

HALF = WIDTH // 2


def one(make, takes="sequence", gives="same", **options):
    """A step of one layer."""
    return Kind(takes, gives, lambda **chosen: [make(**chosen)], **options)


def recurrent(make, **options):
    return one(lambda **chosen: make(WIDTH, return_sequences=True, **chosen), **options)


def cells(kinds=("GRUCell",)):
    return [L.RNN([getattr(L, kind)(WIDTH) for kind in kinds], return_sequences=True)]


SEQUENCES = {
    "lstm": recurrent(L.LSTM, options={"stateful": (False, True), "go_backwards": (False, True)}),
    "gru": recurrent(
        L.GRU,
        options={"reset_after": (True, False), "stateful": (False, True), "unroll": (False, True)},
    ),
    "simple_rnn": recurrent(L.SimpleRNN, options={"recurrent_dropout": (0.0, 0.3)}, is_exact=False),
    "bidirectional": one(lambda: L.Bidirectional(L.LSTM(HALF, return_sequences=True))),
    "bidirectional_sum": one(
        lambda: L.Bidirectional(L.GRU(WIDTH, return_sequences=True), merge_mode="sum")
    ),
    "rnn_cells": Kind(
        "sequence",
        "same",
        cells,
        options={"kinds": (("GRUCell",), ("LSTMCell", "SimpleRNNCell"), ("LSTMCell",))},
    ),
    "time_distributed": one(
        lambda activation=None: L.TimeDistributed(L.Dense(WIDTH, activation=activation)),
        options=ACTIVE,
    ),
    "last_lstm": one(lambda: L.LSTM(WIDTH), gives="vector"),
    "last_gru": one(lambda: L.Bidirectional(L.GRU(HALF)), gives="vector"),
    "last_step": Kind("sequence", "vector", apply=last_step),
    "mean_of_steps": Kind("sequence", "vector", apply=mean_of_steps),
    "average_1d": one(L.GlobalAveragePooling1D, gives="vector"),
    "max_1d": one(L.GlobalMaxPooling1D, gives="vector"),
    "flatten_1d": Kind("sequence", "vector", lambda: [L.Flatten(), L.Dense(WIDTH)]),
    "masking": one(L.Masking),
    "permute": Kind(
        "sequence", "same", lambda: [L.Permute((2, 1)), L.Dense(LENGTH), L.Permute((2, 1))]
    ),
    "spatial_dropout_1d": one(lambda: L.SpatialDropout1D(0.3), is_exact=False),
    "self_attention": Kind(
        "sequence",
        "same",
        lambda dropout=0.0: [L.MultiHeadAttention(2, 3, dropout=dropout)],
        attend,
        options={"dropout": (0.0, 0.2)},
        is_exact=False,
    ),
    "grouped_attention": Kind("sequence", "same", lambda: [L.GroupQueryAttention(3, 2, 1)], attend),
    "attention": Kind(
        "sequence",
        "same",
        lambda scale=False: [L.Attention(use_scale=scale)],
        attend_list,
        options={"scale": (False, True)},
    ),
    "additive_attention": Kind("sequence", "same", lambda: [L.AdditiveAttention()], attend_list),
    "conv1d": one(
        lambda **chosen: L.Conv1D(WIDTH, 3, padding="causal", dilation_rate=2, **chosen),
        options=ACTIVE,
    ),
    "grouped_conv1d": one(lambda: L.Conv1D(WIDTH, 3, padding="same", groups=3)),
    "separable_1d": one(lambda: L.SeparableConv1D(WIDTH, 3, padding="same")),
    "depthwise_1d": one(lambda: L.DepthwiseConv1D(3, padding="same")),
    "down_up_1d": Kind(
        "sequence",
        "same",
        lambda: [
            L.Conv1D(WIDTH, 3, 2, padding="same"),
            L.Conv1DTranspose(WIDTH, 3, 2, padding="same"),
        ],
    ),
    "pool_1d": Kind("sequence", "same", lambda: [L.MaxPooling1D(2), L.UpSampling1D(2)]),
    "pad_1d": Kind("sequence", "same", lambda: [L.ZeroPadding1D(1), L.Cropping1D(1)]),
}
IMAGES = {
    "conv2d": one(
        lambda **chosen: L.Conv2D(WIDTH, 3, padding="same", **chosen),
        "image",
        options={**ACTIVE, "groups": (1, 3), "use_bias": (True, False)},
    ),
    "separable_2d": one(lambda: L.SeparableConv2D(WIDTH, 3, padding="same"), "image"),
    "depthwise_2d": one(lambda: L.DepthwiseConv2D(3, padding="same"), "image"),
    "down_up_2d": Kind(
        "image",
        "same",
        lambda: [
            L.Conv2D(WIDTH, 3, 2, padding="same"),
            L.Conv2DTranspose(WIDTH, 3, 2, padding="same"),
        ],
    ),
    "pool_2d": Kind(
        "image",
        "same",
        lambda: [L.AveragePooling2D(2), L.UpSampling2D(2, interpolation="bilinear")],
    ),
    "pad_2d": Kind("image", "same", lambda: [L.ZeroPadding2D(1), L.Cropping2D(1)]),
    "spatial_dropout_2d": one(lambda: L.SpatialDropout2D(0.3), "image", is_exact=False),
    "random_flip": one(lambda: L.RandomFlip("horizontal"), "image", is_exact=False),
    "random_translation": one(lambda: L.RandomTranslation(0.2, 0.2), "image", is_exact=False),
    "random_crop": Kind(
        "image", "same", lambda: [L.ZeroPadding2D(1), L.RandomCrop(LENGTH, LENGTH)], is_exact=False
    ),
    "average_2d": one(L.GlobalAveragePooling2D, "image", "vector"),
    "max_2d": one(L.GlobalMaxPooling2D, "image", "vector"),
    "flatten_2d": Kind("image", "vector", lambda: [L.Flatten(), L.Dense(WIDTH)]),
    "rows": Kind(
        "image", "sequence", lambda: [L.Reshape((LENGTH, LENGTH * WIDTH)), L.Dense(WIDTH)]
    ),
    "first_row": Kind("image", "sequence", apply=row),
    "time_distributed_conv": one(
        lambda: L.TimeDistributed(L.Conv1D(WIDTH, 3, padding="same")), "image"
    ),
    "conv_lstm": one(
        lambda: L.ConvLSTM1D(WIDTH, 3, padding="same", return_sequences=True), "image"
    ),
}
