"""How often a comparison was looked at with growing numbers of seeds: each look is a test of its own."""

from __future__ import annotations

import json

from filelock import FileLock

from biaskit.disk import disk_errors
from biaskit.errors import StoreError
from biaskit.home import home

__all__ = ["record_look"]


def record_look(key: str, seeds: int) -> list[int]:
    """Note that a verdict over ``seeds`` seeds was looked at; returns every number looked at, this one last.

    Repeating a look costs nothing: the same stored runs give the same verdict.
    """
    path = home() / "looks.json"
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            try:
                looks: dict[str, list[int]] = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                looks = {}
            except ValueError:
                raise StoreError(f"{path} cannot be read; remove it, and looks are counted from now on") from None
            if not isinstance(looks, dict):
                raise StoreError(f"{path} cannot be read; remove it, and looks are counted from now on")
            seen = [one for one in looks.get(key, []) if one != seeds]
            looks[key] = [*seen, seeds]
            part = path.with_suffix(".part")
            part.write_text(json.dumps(looks, indent=1, sort_keys=True), encoding="utf-8")
            part.replace(path)
    return looks[key]
