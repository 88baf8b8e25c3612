"""The `vlbm` command; each subcommand is a file here.

Heavy imports live inside the commands, so that `--help` answers at once. Errors of `vlbm` end as one line,
exit status 2.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from vlbm.cli.bench import bench
from vlbm.cli.caption import caption
from vlbm.cli.data import data
from vlbm.cli.eval import evaluate
from vlbm.cli.info import info
from vlbm.cli.memory import memory
from vlbm.cli.prove import prove
from vlbm.cli.read import read
from vlbm.cli.train import train
from vlbm.errors import VLBMError

EXIT_ERROR = 2


class _Group(click.Group):
    """Turns the library's errors into one line on standard error."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except VLBMError as error:
            click.echo(f"vlbm: {' '.join(str(error).split())}", err=True)
            sys.exit(EXIT_ERROR)


@click.group(cls=_Group)
@click.version_option(package_name="vlbm-assistant", prog_name="vlbm")
def main() -> None:
    """Visually augmented language models."""


for _command in (bench, caption, data, evaluate, info, memory, prove, read, train):
    main.add_command(_command)
