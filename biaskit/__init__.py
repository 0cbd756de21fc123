"""Does a vision model rely on a shortcut, does a training recipe make it better, and how sure are we?

What one needs, in the order of the work; each has its parameters, what it returns and an example in its own ``help``:

- ``build(card)`` makes a data set with a known shortcut; ``"colordigits"`` needs no download.
- ``open_data(folder)`` reads images of your own, with a table of attributes.
- ``data_audit(data)`` says before any training what goes with the label, what leaks and which groups are missing.
- ``train(recipe, data)`` trains once, or takes the stored run.
- ``compare(recipes, data)`` trains several recipes over seeds and says which leans on the shortcut less.
- ``audit(model, data)`` measures any model, group by group.
- ``score(table)`` does the same for a table of predictions, without images or a model.
- ``gate(result, policy)`` says whether a result passes, by the bounds of its intervals.
- ``diff(a, b)`` says what changed between two runs or results, and in which groups.
- ``report(folder)`` writes one HTML file of a saved result.

The ``biaskit`` command has the same names; ``biaskit list`` names the data sets, recipes, analyzers and so on.

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
    from biaskit._data_audit import DataAudit, data_audit
    from biaskit._diff import Diff, diff
    from biaskit._gate import Gate, gate
    from biaskit._score import Score, score
    from biaskit._selftest import SelfTest, selftest
    from biaskit._studies import Study, reproduce
    from biaskit._sweep import sweep
    from biaskit.broden import open_broden, write_broden
    from biaskit.builders._pose_shapes import pose_space
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
    from biaskit.foreign import ForeignModel, open_model
    from biaskit.images import ArrayImages, Images
    from biaskit.layouts import convert, open_data
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
    "biaskit._data_audit": ("DataAudit", "data_audit"),
    "biaskit._diff": ("Diff", "diff"),
    "biaskit._gate": ("Gate", "gate"),
    "biaskit._score": ("Score", "score"),
    "biaskit._selftest": ("SelfTest", "selftest"),
    "biaskit._studies": ("Study", "reproduce"),
    "biaskit._sweep": ("sweep",),
    "biaskit.telling.report": ("report",),
    "biaskit.builders._pose_shapes": ("pose_space",),
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
    "biaskit.foreign": ("ForeignModel", "open_model"),
    "biaskit.images": ("ArrayImages", "Images"),
    "biaskit.layouts": ("convert", "open_data"),
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
    "DataAudit",
    "DataError",
    "Dataset",
    "Diff",
    "ForeignModel",
    "Gate",
    "Images",
    "MissingExtra",
    "Picture",
    "Result",
    "Run",
    "Score",
    "SelfTest",
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
    "convert",
    "data_audit",
    "diff",
    "gate",
    "load",
    "open_broden",
    "open_data",
    "open_model",
    "pose_space",
    "report",
    "reproduce",
    "score",
    "selftest",
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
