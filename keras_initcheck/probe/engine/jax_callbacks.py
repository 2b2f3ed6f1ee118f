"""Finds calls of Python in a traced JAX program."""

from collections.abc import Iterator
from typing import Any

import jax


def calls_back(program: Any) -> bool:
    """Whether a program calls Python on the host: `jax.pure_callback`, `io_callback` and the like.

    Args:
        program: A jaxpr, closed or not.
    """
    return any("callback" in str(each.primitive) for each in _equations(program))


def _equations(program: Any) -> Iterator[Any]:
    """The equations of a program and of all programs in it: loops, branches, inner functions."""
    pending = [program]
    while pending:
        inner = pending.pop()
        inner = inner.jaxpr if hasattr(inner, "jaxpr") else inner
        for equation in inner.eqns:
            yield equation
            pending += filter(_is_program, jax.tree.leaves(equation.params, is_leaf=_is_program))


def _is_program(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")
