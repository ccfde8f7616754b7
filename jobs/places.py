"""Places as arguments of commands: all of them are written, and shown to the shell, in the same way."""

from pathlib import Path
from typing import Any

import click

from pipeline.locations import LocationError, expanded, is_address, shown


class Place(click.Path):
    """A path, where `~` and `file://` mean what they mean elsewhere; unless it must be `local`, also gs://… or s3://…"""

    def __init__(self, local: bool) -> None:
        super().__init__(path_type=Path if local else str)
        self.local = local

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            location = expanded(str(value))
        except LocationError as error:
            self.fail(str(error), param, ctx)
        if self.local and is_address(location):
            self.fail(f"{shown(location)} is not on this machine; copy it here", param, ctx)
        return super().convert(location, param, ctx)


LOCATION, LOCAL = Place(local=False), Place(local=True)
