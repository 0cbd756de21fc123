"""Does a vision model rely on a shortcut, does a training recipe make it better, and how sure are we?

>>> import biaskit as bk
>>> data = bk.build("colordigits")
>>> data.name
'colordigits'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biaskit import wordnet as wordnet
    from biaskit._audit import Audit, audit
    from biaskit._build import build, load
    from biaskit._compare import Comparison, compare
    from biaskit._studies import Study, reproduce
    from biaskit._sweep import sweep
    from biaskit.broden import open_broden, write_broden
    from biaskit.concepts import ArrayPlanes, Concepts
    from biaskit.data import Batch, Dataset, Source
    from biaskit.disk import verify
    from biaskit.errors import (
        BiaskitError,
        DataError,
        MissingExtra,
        SpecError,
        StoreError,
        UnknownName,
        UnsupportedModel,
    )
    from biaskit.images import ArrayImages, Images
    from biaskit.results import Column, Picture, Result
    from biaskit.runs import Run, train
    from biaskit.subject import Subject
    from biaskit.telling.report import report
    from biaskit.vision import VisionView

__version__ = "0.1.0"

_PLACES = {
    "biaskit._audit": ("Audit", "audit"),
    "biaskit._build": ("build", "load"),
    "biaskit._compare": ("Comparison", "compare"),
    "biaskit._studies": ("Study", "reproduce"),
    "biaskit._sweep": ("sweep",),
    "biaskit.telling.report": ("report",),
    "biaskit.broden": ("open_broden", "write_broden"),
    "biaskit.concepts": ("ArrayPlanes", "Concepts"),
    "biaskit.data": ("Batch", "Dataset", "Source"),
    "biaskit.disk": ("verify",),
    "biaskit.errors": (
        "BiaskitError",
        "DataError",
        "MissingExtra",
        "SpecError",
        "StoreError",
        "UnknownName",
        "UnsupportedModel",
    ),
    "biaskit.images": ("ArrayImages", "Images"),
    "biaskit.runs": ("Run", "train"),
    "biaskit.results": ("Column", "Picture", "Result"),
    "biaskit.subject": ("Subject",),
    "biaskit.vision": ("VisionView",),
}
#: Modules that are reached as they are, such as ``biaskit.wordnet.distances``.
_MODULES = ("wordnet",)
_HOME = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "ArrayImages",
    "ArrayPlanes",
    "Audit",
    "Batch",
    "BiaskitError",
    "Column",
    "Comparison",
    "Concepts",
    "DataError",
    "Dataset",
    "Images",
    "MissingExtra",
    "Picture",
    "Result",
    "Run",
    "Source",
    "SpecError",
    "StoreError",
    "Study",
    "Subject",
    "UnknownName",
    "UnsupportedModel",
    "VisionView",
    "__version__",
    "audit",
    "build",
    "compare",
    "load",
    "open_broden",
    "report",
    "reproduce",
    "sweep",
    "train",
    "verify",
    "write_broden",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"biaskit.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'biaskit' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
