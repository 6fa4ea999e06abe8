"""Arithmetic of the 16-bit indexes, which wrap from 65535 to 0 (PROTOCOL, section 2)."""

from __future__ import annotations

__all__ = ["advance", "ahead"]

_MASK = 0xFFFF


def advance(index: int, by: int = 1) -> int:
    """The index that comes C{by} after C{index}."""
    return (index + by) & _MASK


def ahead(index: int, base: int) -> int:
    """
    How far C{index} is ahead of C{base}: -32768 to 32767.

    Half of the circle counts as ahead, half as behind.
    """
    distance = (index - base) & _MASK
    return distance if distance < 0x8000 else distance - 0x10000
