"""Every block of Python code in the README and in `docs/` runs as it is printed.

The blocks of a page run in their order and share their names; each finds a new, untrained model.
Whatever is no Python, as a shell's commands are, carries another language tag or none.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


class GAN(keras.Model):
    """A generator and a discriminator; its step only counts, since a page shows none."""

    def __init__(self, generator, discriminator):
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.built = True

    def train_step(self, data):
        return {"loss": keras.ops.zeros(())}


def given_names():
    """The names that the pages leave to their readers: a model, its data, and a GAN of two."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((64, 16)).astype("float32")
    y = generator.integers(0, 4, 64)
    model = keras.Sequential(
        [
            keras.Input((16,)),
            keras.layers.Dense(32, "relu", kernel_initializer="he_normal"),
            keras.layers.Dense(4, "softmax", name="head"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    parts = {
        name: keras.Sequential([keras.Input((16,)), keras.layers.Dense(16)], name=name)
        for name in ("generator", "discriminator")
    }
    gan = GAN(**parts)
    gan.compile("sgd", run_eagerly=True)
    batches = [(x[:32], y[:32]), (x[32:], y[32:])]
    return {
        **{"model": model, "x": x, "y": y, "batches": batches, "layers": keras.layers},
        **{**parts, "gan": gan, "images": x, "noise": x},
    }


@pytest.mark.backend("tensorflow", "torch")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    document = Sybil([PythonCodeBlockParser()]).parse(page)
    for example in document.examples():
        document.namespace.update(given_names())
        example.evaluate()


def test_python_of_the_readme_is_found():
    examples = list(Sybil([PythonCodeBlockParser()]).parse(PAGES[0]).examples())
    assert len(examples) == PAGES[0].read_text().count("```python") >= 3
