"""Kind tables: each class of a kind has its line in one table; a class without it is refused at import."""

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def import_modules(package: ModuleType) -> None:
    """Import every module of a package, also one that nothing else imports: a forgotten class would not be noticed."""
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)


def demand_lines(base: type[object], kinds: Iterable[type[object]], problem: str) -> None:
    """Raises TypeError, which says the problem and the names, where a class made of `base` is not among the kinds."""
    if missing := {kind.__name__ for kind in base.__subclasses__()} - {kind.__name__ for kind in kinds}:
        raise TypeError(f"{problem}: {', '.join(sorted(missing))}")
