"""Where biaskit keeps what it downloads, builds and trains."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["home"]


def home() -> Path:
    """The folder of the environment variable ``BIASKIT_HOME``, else the platform's cache folder.

    It holds ``data/`` and ``runs/``, and need not exist yet.

    Examples
    --------
    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, {"BIASKIT_HOME": "here"}):
    ...     print(home())
    here
    """
    import platformdirs

    given = os.environ.get("BIASKIT_HOME")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("biaskit"))
