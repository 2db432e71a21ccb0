"""Placeholders for the traced numbers of a run that represents a whole pack."""

from typing import Any


class Blank:
    """Placeholder for a traced number, which differs between the lanes of a program: computing with it raises TypeError.

    Comparing for equality does not raise, because hash tables compare keys (JAX's keep functions that hold a setup): blanks
    of one path are equal, and no blank equals anything else.

    Attributes:
        path: dotted path of the number in the run (`"learning_rate"`, `"optimizer.b1"`).
    """

    __slots__ = ("path",)

    def __init__(self, path: str):
        self.path = path

    def __repr__(self) -> str:
        return f"<{self.path}: traced>"

    def __hash__(self) -> int:
        return hash((Blank, self.path))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blank) and self.path == other.path

    def _read(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"{self.path} is traced: each lane has its own; read it from the run inside the program")

    __bool__ = __int__ = __float__ = __complex__ = __index__ = _read
    __round__ = __trunc__ = __floor__ = __ceil__ = __neg__ = __pos__ = __abs__ = _read
    __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __divmod__ = __pow__ = __matmul__ = _read
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rdivmod__ = __rpow__ = _read
    __rmatmul__ = __lt__ = __le__ = __gt__ = __ge__ = _read
    __array__ = _read
