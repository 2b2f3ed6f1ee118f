"""The network of a pass: nodes of `theory.propagation`, and the sites that they belong to."""

from dataclasses import dataclass, field

from keras_initcheck.theory.propagation.graph import Network, Node
from keras_initcheck.theory.propagation.rule import PropagationRule


@dataclass
class SiteNetwork:
    """A network whose nodes belong to sites.

    Attributes:
        network: The network, in execution order.
        sites: For each node, the index of its site; `MODEL_INPUT` for the model's inputs.
        outputs: For each site, the position of its last node.
        last_gap: Position of the last node whose input has an unknown maker: the input may have
            been made from any node before it.
    """

    network: Network = field(default_factory=Network)
    sites: list[int] = field(default_factory=list)
    outputs: dict[int, int] = field(default_factory=dict)
    last_gap: int = -1

    @property
    def nodes(self) -> list[Node]:
        """The nodes."""
        return self.network.nodes

    def add(self, site: int, rule: PropagationRule, inputs: tuple[int, ...] = ()) -> int:
        """Adds a node of a site and returns its position."""
        position = self.network.add(rule, inputs)
        self.sites.append(site)
        return position

    def pre_activation(self, site: int) -> int:
        """The node whose output the site's last step, its activation, receives."""
        return self.nodes[self.outputs[site]].inputs[0]
