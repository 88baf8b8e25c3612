"""`python -m vlbm.cli` is `vlbm`: launchers such as accelerate's start a module."""

from __future__ import annotations

from vlbm.cli import main

main(prog_name="vlbm")
