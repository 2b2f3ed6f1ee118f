"""Synthetic profiles for every test here."""

from tests.support.profiles import broken, healthy, make, zero

__all__ = ["broken", "healthy", "make", "zero"]
