"""A value that is never shown."""

from __future__ import annotations


class Secret:
    """A password or key. Its repr, str and format are ``***``; only ``reveal()`` gives it away.

    Not picklable: secrets cross no process border, each process reads its own.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value, for the call that needs it and nothing else."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> str:
        message = "a secret is not picklable"
        raise TypeError(message)
