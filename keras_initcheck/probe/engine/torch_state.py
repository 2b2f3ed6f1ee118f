"""PyTorch's state that Keras does not know: random generators, and tensors of modules."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from keras_initcheck.probe.engine.protocol import Restore


def capture_randomness() -> Restore:
    """The states of PyTorch's global generators, one for each device."""
    processor = torch.random.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    metal = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def restore() -> None:
        torch.random.set_rng_state(processor)
        for device, state in enumerate(cuda):
            torch.cuda.set_rng_state(state, device)
        if metal is not None:
            torch.mps.set_rng_state(metal)

    return restore


@contextlib.contextmanager
def isolated_randomness() -> Iterator[None]:
    """A context with global generators that are set for the pass, and put back.

    Keras' dropout draws from them.
    """
    restore = capture_randomness()
    # `torch.manual_seed` would format the call stack for a device that is not there.
    torch.default_generator.manual_seed(0)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(0)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(0)
    try:
        yield
    finally:
        restore()


MODULES: tuple[type, ...] = (torch.nn.Module,)
TENSORS: tuple[type, ...] = (torch.Tensor, torch.Generator)


def own_tensors(module: Any) -> list[Any]:
    """The parameters of a module, their gradients, and its buffers.

    Those of the modules inside it are not among them.
    """
    own = [
        *torch.nn.Module.parameters(module, recurse=False),
        *torch.nn.Module.buffers(module, recurse=False),
    ]
    return own + [tensor.grad for tensor in own if tensor.grad is not None]


def num_bytes(tensor: Any) -> int:
    """The bytes that a copy takes: none for a generator."""
    return int(tensor.nbytes) if isinstance(tensor, torch.Tensor) else 0


def capture_tensor(tensor: Any) -> Restore:
    """The values and the `.grad` of a tensor, or the state of a generator.

    Values are put back only where they changed, so that no version counter moves without need.
    """
    if isinstance(tensor, torch.Generator):
        state = tensor.get_state()
        return lambda: tensor.set_state(state) and None
    gradient = tensor.grad if tensor.is_leaf else None
    is_plain = tensor.layout is torch.strided and not tensor.is_meta and not tensor.is_quantized
    values = tensor.detach().clone() if is_plain else None

    def restore() -> None:
        if tensor.is_leaf and tensor.grad is not gradient:
            tensor.grad = gradient
        if values is not None and not torch.equal(_bits(tensor), _bits(values)):
            with torch.no_grad():
                tensor.copy_(values)

    return restore


def _bits(tensor: Any) -> Any:
    """The bytes of a tensor, in which NaN equals NaN, and 0 differs from -0."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
