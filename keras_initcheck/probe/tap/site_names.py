"""Names of sites: paths through the layers that are being called, numbered where they repeat."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any


class SiteNames:
    """The layers that are being called, from the outermost in, and the names given so far.

    Attributes:
        is_causal: Whether the innermost one was told to use a causal mask.
    """

    def __init__(self) -> None:
        self.is_causal: bool = False
        self._scopes: list[str] = []
        self._num_calls: Counter[str] = Counter()
        self._paths: dict[int, str] = {}

    @contextlib.contextmanager
    def inside(self, name: str, is_causal: bool) -> Iterator[None]:
        """A context in which the layer of that name calls others."""
        was_causal = self.is_causal
        self.is_causal = is_causal
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()
            self.is_causal = was_causal

    def path(self, name: str) -> str:
        """The path of a layer that is called here, `encoder/dense`."""
        return "/".join([*self._scopes, name])

    def is_first_call(self, operation: Any) -> bool:
        """Whether no site of that layer has a name yet."""
        return id(operation) not in self._paths

    def name_site(self, operation: Any, name: str) -> tuple[str, str]:
        """The name of a new site, such as `encoder/dense#2`, and the path of its layer."""
        path = self.path(name)
        self._num_calls[path] += 1
        count = self._num_calls[path]
        layer_path = self._paths.setdefault(id(operation), path)
        return (path if count == 1 else f"{path}#{count}"), layer_path
