"""Check a model before training it, on real data: scikit-learn's digits.

python examples/check_before_fit.py
"""

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_initcheck as ic


def deep_network(initializer: str) -> keras.Model:
    """Builds thirty ReLU layers of 128 units."""
    hidden = [keras.layers.Dense(128, "relu", kernel_initializer=initializer) for _ in range(30)]
    model = keras.Sequential(
        [keras.Input((64,)), *hidden, keras.layers.Dense(10, "softmax")], name=initializer
    )
    model.compile(keras.optimizers.SGD(0.03, momentum=0.9), "sparse_categorical_crossentropy")
    return model


x, y = load_digits(return_X_y=True)
x = ((x - x.mean()) / x.std()).astype(np.float32)

for name in ("glorot_uniform", "he_normal"):
    report = ic.check(deep_network(name), x, y)
    print(report.verdict)
    for finding in report.findings:
        if finding.severity != "info":
            print(f"  {finding.code} {finding.slug}: {finding.fix}")
