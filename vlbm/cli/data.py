"""`vlbm data`: the data that packages carry."""

from __future__ import annotations

from pathlib import Path

import click

from vlbm.cli.terminal import bars

_cache = click.option(
    "--cache", type=click.Path(path_type=Path), help="Where data is kept. Default: the cache folder of vlbm."
)


@click.group()
def data() -> None:
    """Prepare training data."""


@data.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--language", "languages", multiple=True, help="Of captions; repeatable. Default: en, de, es and fr.")
@_cache
def prepare(sources: tuple[str, ...], languages: tuple[str, ...], cache: Path | None) -> None:
    """Find or fetch sources of pictures with captions, all of them by default, and check that no split leaks.

    A second run has nothing to do. `vlbm data list` says what there is.
    """
    from vlbm.cache import default_cache_dir
    from vlbm.data.prepared import LANGUAGES, prepare
    from vlbm.data.sources import SOURCES, check_all, source

    folder = (cache or default_cache_dir()) / "data"
    wanted = [source(name) for name in sources or SOURCES]
    with bars() as tell:
        made = [prepare(each, folder, languages or LANGUAGES, tell) for each in wanted]
    for one in made:
        record = one.record
        click.echo(
            f"{record['source']}: {record['examples']} examples, {record['concepts']} concepts, "
            f"{record['pictures']} pictures ({record['licence']}) in {one.folder}"
        )
    checked = check_all(folder)
    click.echo(f"no leak between splits: {', '.join(one.record['source'] for one in checked)}")


@data.command(name="list")
@_cache
def list_sources(cache: Path | None) -> None:
    """Say what sources there are, their licences and sizes, and which are prepared."""
    from vlbm.cache import default_cache_dir
    from vlbm.data.prepared import prepared
    from vlbm.data.sources import SOURCES

    folder = (cache or default_cache_dir()) / "data"
    for each in SOURCES.values():
        there = prepared(each, folder)
        state = f"prepared in {', '.join(there.record['languages'])}" if there else "not prepared"
        click.echo(f"{each.name}: {each.holds} ({each.licence}; {each.megabytes} MB from {each.origin}); {state}")
