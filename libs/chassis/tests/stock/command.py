"""``python -m stock.command shell --broker AMQP_URI``: the command `nameko` itself, all of it.

nameko 2.14.1 asks the module pkg_resources for its own version; setuptools no longer brings that module. So it is lent
the one function that it wants, and nothing else is touched.
"""

from __future__ import annotations

import sys
from importlib.metadata import distribution
from types import ModuleType
from typing import Any

if __name__ == "__main__":
    lent: Any = ModuleType("pkg_resources")
    lent.get_distribution = distribution
    sys.modules["pkg_resources"] = lent

    from nameko.cli.main import main

    main()
