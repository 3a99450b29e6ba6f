"""Lets the tests import the package."""

from __future__ import annotations

import sys

# pytest calls the folder above this one "punchcard" as well; the package of that name must win
if getattr(sys.modules.get("punchcard"), "__file__", None) is None:
    sys.modules.pop("punchcard", None)
