"""`python -m fastgw`, and the console script."""

from __future__ import annotations

from fastgw.cli.main import main

if __name__ == "__main__":
    main(prog_name="fastgw")
