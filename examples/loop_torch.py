"""Watch a custom loop with torch's autograd and one of torch's optimizers.

KERAS_BACKEND=torch python examples/loop_torch.py
tensorboard --logdir logs
"""

import keras
import torch
from sklearn.datasets import load_digits

from keras_initcheck import InitCheck

keras.utils.set_random_seed(0)
images, labels = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
images = (images.float() - 4.9) / 6.0

hidden = [keras.layers.Dense(64, "relu", kernel_initializer="he_normal") for _ in range(3)]
model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])
optimizer = torch.optim.Adam(model.parameters(), 1e-3)
loss_of = torch.nn.CrossEntropyLoss()
batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=64)

with InitCheck("logs") as watcher:
    step = 0
    for _ in range(4):
        for x, y in batches:
            if step % 50 == 0:
                report = watcher.probe(model, x, y, step=step)
                print(
                    f"step {step}: {report.verdict} log10 of the forward gain:"
                    f" {report.profile.log10_forward_gain:.2f}"
                )
            optimizer.zero_grad()
            loss = loss_of(model(x, training=True), y)
            loss.backward()
            optimizer.step()
            step += 1
print(f"loss {loss.item():.2f}")
