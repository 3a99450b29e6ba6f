"""``python -m punchcard``."""

from punchcard.cli import main

raise SystemExit(main())
