"""One of two processes that train a model with DistributedDataParallel. Prints what came of it as
JSON.

Arguments: the rank, a file at which the processes meet, and a directory for the log.
"""

import json
import sys

import torch
from common import BATCH, are_equal, data, network, statistics

import keras_initcheck as ic

RANK, MEETING, LOG = int(sys.argv[1]), sys.argv[2], sys.argv[3]
STEPS = 3

torch.distributed.init_process_group(
    "gloo", init_method=f"file://{MEETING}", rank=RANK, world_size=2
)
x, y = (part[RANK * BATCH :][:BATCH] for part in data())
model = network()
wrapper = torch.nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), 0.1)


def state():
    """Every parameter and, where it has one, its gradient."""
    tensors = [
        part
        for parameter in model.parameters()
        for part in (parameter, parameter.grad)
        if part is not None
    ]
    return [tensor.detach().numpy().copy() for tensor in tensors]


def refusal():
    try:
        ic.check(wrapper, x, y)
    except TypeError as error:
        return str(error)


losses, is_unchanged = [], True
watcher = ic.InitCheck(LOG)
for step in range(STEPS):
    optimizer.zero_grad()
    torch.nn.functional.nll_loss(
        torch.log(wrapper(torch.as_tensor(x))), torch.as_tensor(y)
    ).backward()
    before = state()
    if RANK == 0 or step != 1:  # once on one rank alone
        losses.append(statistics(ic.check(model, x, y))["loss"])
    watcher.probe(model, x, y, step=step)
    is_unchanged &= are_equal(before, state())
    optimizer.step()
watcher.close()
sums = [float(parameter.sum()) for parameter in model.parameters()]
print(
    json.dumps(
        {"refusal": refusal(), "losses": losses, "is_unchanged": is_unchanged, "weights": sums}
    )
)
torch.distributed.destroy_process_group()
