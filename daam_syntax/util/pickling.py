"""Let values that hold read-only mappings be pickled and copied.

`copyreg` registers how a type of the standard library is pickled; `multiprocessing`, joblib, Dask, and `copy.deepcopy`
use it.
"""

from __future__ import annotations

import copyreg
from types import MappingProxyType
from typing import Any


def _restore(values: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(values)


def _reduce(mapping: MappingProxyType[Any, Any]) -> tuple[Any, ...]:
    return _restore, (dict(mapping),)


def allow_pickling() -> None:
    """Let read-only mappings be pickled."""
    copyreg.pickle(MappingProxyType, _reduce)
