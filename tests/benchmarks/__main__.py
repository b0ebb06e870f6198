"""`make bench` comes in here; see `run`."""

from __future__ import annotations

import sys

from tests.benchmarks.run import main

sys.exit(main())
