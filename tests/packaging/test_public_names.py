"""What `pxl_audit` offers is what `__all__` says, and each name can be had."""

from __future__ import annotations

import inspect
from types import ModuleType

import pxl_audit


def test_all_is_the_namespace() -> None:
    public = {
        name
        for name, value in vars(pxl_audit).items()
        if not name.startswith("_") and name != "annotations" and not isinstance(value, ModuleType)
    }
    # A lazy name is not in the namespace before its first use, so it may be in __all__ alone.
    lazy = set(pxl_audit.__all__) - public
    assert public <= set(pxl_audit.__all__)
    assert not lazy or "__getattr__" in vars(pxl_audit)
    assert set(pxl_audit.__all__) <= set(dir(pxl_audit))


def test_every_name_can_be_had_and_explains_itself() -> None:
    assert pxl_audit.__all__ == sorted(set(pxl_audit.__all__))
    for name in pxl_audit.__all__:
        value = getattr(pxl_audit, name)
        assert not isinstance(value, ModuleType), f"{name} is a module, not what it is documented to be"
        assert inspect.getdoc(value), f"{name} has no docstring"


def test_star_import_gives_the_same() -> None:
    namespace: dict[str, object] = {}
    exec("from pxl_audit import *", namespace)  # the only way to run what a user may write
    assert set(namespace) - {"__builtins__"} == set(pxl_audit.__all__)
