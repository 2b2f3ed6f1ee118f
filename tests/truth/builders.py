"""Builders of small networks of many kinds. Nothing here knows what is right or wrong with them."""

import keras
import numpy as np
from keras import initializers, layers, ops

NUM_CLASSES = 10
VOCABULARY = 50


def normal(stddev):
    """A fresh initializer N(0, stddev²)."""
    return initializers.RandomNormal(stddev=stddev)


def fresh(initializer):
    """The initializer, made anew where it is a function that makes one."""
    return (
        initializer()
        if callable(initializer) and not isinstance(initializer, initializers.Initializer)
        else initializer
    )


def head(x):
    """Class probabilities."""
    return layers.Dense(NUM_CLASSES, activation="softmax", name="head")(x)


def mlp(depth, width, activation, initializer="glorot_uniform", inputs=64, between=None, **options):
    """`depth` hidden layers, with a layer `between()` behind each."""
    x = start = keras.Input((inputs,))
    for number in range(depth):
        x = layers.Dense(
            width,
            activation,
            kernel_initializer=fresh(initializer),
            name=f"hidden_{number}",
            **options,
        )(x)
        x = between()(x) if between else x
    return keras.Model(start, head(x))


def changed(model, layer, factor):
    """`model` with the kernel of one layer multiplied."""
    kernel = model.get_layer(layer).kernel
    kernel.assign(kernel * factor)
    return model


def cnn(depth, initializer="glorot_uniform", with_norm=False, filters=16, size=32):
    """3x3 convolutions, max pooling and twice the filters after every second one."""
    x = start = keras.Input((size, size, 3))
    for number in range(depth):
        x = layers.Conv2D(
            filters, 3, padding="same", kernel_initializer=fresh(initializer), name=f"conv_{number}"
        )(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x) if with_norm else x)
        if number % 2:
            x, filters = layers.MaxPooling2D()(x), filters * 2
    return keras.Model(start, head(layers.GlobalAveragePooling2D()(x)))


def depthwise(with_norm, blocks=6, filters=32):
    """MobileNet's pairs of depthwise and pointwise convolutions."""
    x = start = keras.Input((16, 16, 8))
    for _ in range(blocks):
        for layer in (layers.DepthwiseConv2D(3, padding="same"), layers.Conv2D(filters, 1)):
            x = layer(x)
            x = layers.Activation("relu")(layers.BatchNormalization()(x) if with_norm else x)
    return keras.Model(start, head(layers.GlobalAveragePooling2D()(x)))


def residual(
    blocks, norm=None, last="he_normal", first="he_normal", scale=None, width=64, after=None
):
    """`x + F(x)` with two dense layers in F. `norm`: "pre", "post" or none. `scale`: factor on the
    branch.
    """
    x = start = keras.Input((width,))
    for _ in range(blocks):
        h = layers.LayerNormalization()(x) if norm == "pre" else x
        h = layers.Dense(width, "relu", kernel_initializer=fresh(first))(h)
        h = layers.Dense(width, kernel_initializer=fresh(last))(h)
        h = layers.Rescaling(scale)(h) if scale is not None else h
        x = layers.Add()([x, h])
        x = layers.LayerNormalization()(x) if norm == "post" else x
        x = layers.Activation(after)(x) if after else x
    return keras.Model(start, head(x))


def resnet(blocks=8, filters=16):
    """ResNet v1 with batch normalization."""
    x = start = keras.Input((16, 16, filters))
    for _ in range(blocks):
        h = layers.Activation("relu")(
            layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x))
        )
        h = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(h))
        x = layers.Activation("relu")(layers.Add()([x, h]))
    return keras.Model(start, head(layers.GlobalAveragePooling2D()(x)))


def transformer(
    initializer="glorot_uniform",
    is_pre=True,
    blocks=4,
    width=64,
    output_initializer=None,
    alpha=1.0,
):
    """Blocks of attention and MLP. `output_initializer`: of the last projection in each branch.
    `alpha`: of DeepNorm.
    """
    output_initializer = output_initializer or initializer
    start = keras.Input((16,), dtype="int32")
    x = layers.Embedding(VOCABULARY, width, embeddings_initializer=normal(1.0))(start)

    def add(x, branch):
        x = layers.Add()([layers.Rescaling(alpha)(x) if alpha != 1.0 else x, branch])
        return x if is_pre else layers.LayerNormalization()(x)

    for _ in range(blocks):
        h = layers.LayerNormalization()(x) if is_pre else x
        x = add(
            x, layers.MultiHeadAttention(4, width // 4, kernel_initializer=fresh(initializer))(h, h)
        )
        h = layers.LayerNormalization()(x) if is_pre else x
        h = layers.Dense(4 * width, "gelu", kernel_initializer=fresh(initializer))(h)
        x = add(x, layers.Dense(width, kernel_initializer=fresh(output_initializer))(h))
    return keras.Model(start, head(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))))


def recurrent(make, steps=20):
    """A recurrent layer and a head."""
    start = keras.Input((steps, 8))
    return keras.Model(start, head(make()(start)))


def unet():
    """Two scales with skip connections by concatenation."""

    def conv(filters, x):
        return layers.Conv2D(filters, 3, padding="same", activation="relu")(x)

    start = keras.Input((16, 16, 3))
    fine = conv(16, start)
    coarse = conv(32, layers.MaxPooling2D()(fine))
    deep = conv(32, layers.MaxPooling2D()(coarse))
    coarse = conv(
        32, layers.Concatenate()([coarse, layers.Conv2DTranspose(32, 2, strides=2)(deep)])
    )
    fine = conv(16, layers.Concatenate()([fine, layers.Conv2DTranspose(16, 2, strides=2)(coarse)]))
    return keras.Model(start, layers.Conv2D(1, 1, activation="sigmoid")(fine))


def densenet(num_layers=6, growth=12):
    """Each layer sees all before it."""
    x = start = keras.Input((16, 16, 8))
    for _ in range(num_layers):
        x = layers.Concatenate()(
            [
                x,
                layers.Conv2D(growth, 3, padding="same")(
                    layers.ReLU()(layers.BatchNormalization()(x))
                ),
            ]
        )
    return keras.Model(start, head(layers.GlobalAveragePooling2D()(x)))


def squeeze_excite():
    """A convolution whose channels are gated."""
    start = keras.Input((16, 16, 8))
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(start)
    gate = layers.Dense(8, "relu")(layers.GlobalAveragePooling2D()(x))
    gate = layers.Reshape((1, 1, 32))(layers.Dense(32, "sigmoid")(gate))
    return keras.Model(start, head(layers.GlobalAveragePooling2D()(layers.Multiply()([x, gate]))))


def gated_linear(depth=4, width=64):
    """a * sigmoid(b) after a normalization, layer by layer."""
    x = start = keras.Input((width,))
    for _ in range(depth):
        h = layers.LayerNormalization()(x)
        x = layers.Multiply()([layers.Dense(width)(h), layers.Dense(width, "sigmoid")(h)])
    return keras.Model(start, head(layers.LayerNormalization()(x)))


def siamese():
    """One encoder on two inputs."""
    left, right = keras.Input((32,), name="left"), keras.Input((32,), name="right")
    encoder = keras.Sequential([layers.Dense(64, "relu"), layers.Dense(32, "relu")], name="encoder")
    return keras.Model([left, right], head(layers.Subtract()([encoder(left), encoder(right)])))


def autoencoder():
    """64 to 8 and back."""
    widths = (48, 24, 8, 24, 48)
    x = start = keras.Input((64,))
    for width in widths:
        x = layers.Dense(width, "relu", kernel_initializer="he_normal")(x)
    return keras.Model(start, layers.Dense(64)(x))


class Sampling(layers.Layer):
    """A latent sample from mean and log variance."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, inputs):
        mean, log_variance = inputs
        return mean + ops.exp(0.5 * log_variance) * keras.random.normal(
            ops.shape(mean), seed=self.seeds
        )


def variational():
    """An autoencoder that samples its code."""
    start = keras.Input((64,))
    h = layers.Dense(32, "relu")(start)
    code = Sampling()([layers.Dense(8)(h), layers.Dense(8)(h)])
    return keras.Model(start, layers.Dense(64)(layers.Dense(32, "relu")(code)))


class ReZero(layers.Layer):
    """`x + alpha branch`, alpha zero at first."""

    def build(self, shapes):
        self.alpha = self.add_weight(shape=(), initializer="zeros", name="alpha")

    def call(self, inputs):
        return inputs[0] + self.alpha * inputs[1]


def rezero(blocks=24, width=64):
    """Residual blocks that are the identity at first."""
    x = start = keras.Input((width,))
    for _ in range(blocks):
        x = ReZero()([x, layers.Dense(width, "relu", kernel_initializer="he_normal")(x)])
    return keras.Model(start, head(x))


class Subclassed(keras.Model):
    """Bare functions and arithmetic between the layers."""

    def __init__(self, initializer="he_normal", depth=6, width=64):
        super().__init__()
        self.hidden = [
            layers.Dense(width, kernel_initializer=fresh(initializer)) for _ in range(depth)
        ]
        self.out = layers.Dense(NUM_CLASSES, activation="softmax")

    def call(self, x):
        for layer in self.hidden:
            x = ops.relu(layer(x))
        return self.out(x)


def subclassed(**options):
    """The same, built."""
    model = Subclassed(**options)
    model(np.zeros((2, 64), "float32"))
    return model


def frozen_backbone():
    """Only the head is trained."""
    model = cnn(4, with_norm=True)
    for layer in model.layers[:-1]:
        layer.trainable = False
    return model


def wavenet(depth=6, filters=32):
    """Dilated causal convolutions with gates and skip connections."""
    x = start = keras.Input((32, filters))
    for number in range(depth):
        options = {"padding": "causal", "dilation_rate": 2 ** (number % 3)}
        gated = layers.Multiply()(
            [layers.Conv1D(filters, 2, activation=a, **options)(x) for a in ("tanh", "sigmoid")]
        )
        x = layers.Add()([x, layers.Conv1D(filters, 1)(gated)])
    return keras.Model(start, head(layers.GlobalAveragePooling1D()(x)))


def stopped():
    """A branch that ends in stop_gradient."""
    start = keras.Input((64,))
    kept = layers.Dense(32, "relu", name="kept")(start)
    lost = layers.Lambda(ops.stop_gradient)(layers.Dense(32, "relu", name="lost")(start))
    return keras.Model(start, head(layers.Concatenate()([kept, lost])))


def scaled_input(scale, shift=0.0):
    """A first layer that sees inputs of another scale."""
    start = keras.Input((64,))
    x = layers.Rescaling(scale, shift)(start)
    for _ in range(3):
        x = layers.Dense(64, "relu", kernel_initializer="he_normal")(x)
    return keras.Model(start, head(x))


def single_attention(factors):
    """A block of attention whose projections are multiplied by name."""
    start = keras.Input((16, 32))
    attention = layers.MultiHeadAttention(4, 8, name="attention")
    x = layers.LayerNormalization()(layers.Add()([start, attention(start, start)]))
    for variable in attention.weights:
        layer, name = variable.path.split("/")[-2:]
        if name == "kernel" and layer in factors:
            variable.assign(variable * factors[layer])
    return keras.Model(start, head(layers.GlobalAveragePooling1D()(x)))
