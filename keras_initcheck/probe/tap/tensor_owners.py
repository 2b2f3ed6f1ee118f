"""Which site made which tensor of a pass, by the identity of the tensor."""

from dataclasses import dataclass, replace

from keras_initcheck.probe.keras_types import Tensor
from keras_initcheck.probe.tap.site_record import MODEL_INPUT, Channel, Operand


@dataclass(frozen=True)
class Owner:
    """The site that made a tensor.

    Attributes:
        tensor: The tensor. It is kept alive, because the identity of a freed one could be given to
            another.
        site: Index of the site, or `MODEL_INPUT`.
        channel: The channel in which it is observed, or `None`.
        pre_activation: The tensor before the activation that made this one, or `None`.
        name: Path of a model's input.
    """

    tensor: Tensor
    site: int
    channel: Channel | None = None
    pre_activation: Tensor | None = None
    name: str = ""


class TensorOwners:
    """The tensors of a pass whose maker is known."""

    def __init__(self) -> None:
        self._owners: dict[int, Owner] = {}

    def add(self, owner: Owner) -> None:
        """Notes who made a tensor."""
        self._owners[id(owner.tensor)] = owner

    def add_view(self, tensor: Tensor, of: Tensor) -> None:
        """Notes that a tensor holds the elements of another one, in another shape."""
        owner = self.get(of)
        if owner is not None:
            self.add(replace(owner, tensor=tensor, channel=None))

    def __contains__(self, tensor: Tensor) -> bool:
        return id(tensor) in self._owners

    def get(self, tensor: Tensor) -> Owner | None:
        """The owner of a tensor, or `None` where nobody known made it."""
        return self._owners.get(id(tensor))

    def operand(self, tensor: Tensor) -> Operand:
        """The description of a tensor among a site's arguments."""
        owner, shape = self.get(tensor), tuple(tensor.shape)
        return Operand(None, shape) if owner is None else Operand(owner.site, shape, owner.name)

    def before_activation(self, tensor: Tensor) -> Tensor:
        """The pre-activation behind an output with an activation of its own, else the tensor.

        A random cotangent starts there, because a saturated softmax would pass nothing of it on.
        """
        owner = self.get(tensor)
        return tensor if owner is None or owner.pre_activation is None else owner.pre_activation

    def cotangent_place(self, output: Tensor) -> tuple[int, bool] | None:
        """The place at which a random cotangent starts that belongs to an output.

        Returns:
            The index of a site, and whether the place is its pre-activation instead of its output;
            `None` where no site made that tensor.
        """
        start, owner = self.before_activation(output), self.get(output)
        origin = self.get(start)
        if origin is None and owner is not None and owner.pre_activation is start:
            return owner.site, True
        return None if origin is None or origin.site == MODEL_INPUT else (origin.site, False)
