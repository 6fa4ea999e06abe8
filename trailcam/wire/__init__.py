"""Bytes to values and back: pure functions, frozen values, no state."""
