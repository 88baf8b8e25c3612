"""API keys from the terminal: made, listed and revoked on the store itself, whether or not an assistant runs on it."""

import contextlib
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from assistant.bootstrap import open_stores, redis_at_hand
from assistant.clock import SystemClock, rfc3339
from assistant.domain.access import SCOPES, Scope
from assistant.service.keys import Keys
from assistant.settings import Settings


@contextlib.asynccontextmanager
async def _keys(settings: Settings) -> AsyncIterator[Keys]:
    async with redis_at_hand(settings) as url, open_stores(url, None) as stores:
        yield Keys(stores.keys, SystemClock())


async def create(settings: Settings, owner: str, name: str, scopes: tuple[Scope, ...], days: int | None) -> None:
    """Make a key and print it, alone on standard output."""
    async with _keys(settings) as keys:
        token, key = await keys.create(owner, name, scopes or SCOPES, timedelta(days=days) if days else None)
    print(token, flush=True)
    until = f"until {rfc3339(key.expires_at)}" if key.expires_at else "until it is revoked"
    print(
        f"This key is not shown again. It is good for {owner}, {until}: `assistant keys revoke {key.key_id}`.",
        file=sys.stderr,
    )


async def show(settings: Settings) -> None:
    """Print all keys, without their secrets."""
    async with _keys(settings) as keys:
        found = await keys.all()
    now = SystemClock().now()
    table = Table("id", "name", "owner", "scopes", "made", "expires", box=None, pad_edge=False)
    for key in found:
        end = "never" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d %H:%M}"
        over = key.identity().is_over(now)
        scopes = ",".join(scope for scope in SCOPES if scope in key.scopes)
        made = f"{key.created_at:%Y-%m-%d}"
        table.add_row(key.key_id, key.name, key.owner, scopes, made, f"{end} (expired)" if over else end)
    console = Console(highlight=False, markup=False)
    if found:
        console.print(table, crop=False, width=None if console.is_terminal else 400)
    else:
        print("There are no keys: `assistant keys create --owner NAME` makes one.", file=sys.stderr)


async def revoke(settings: Settings, name: str) -> None:
    """Revoke a key, and close what is open under it."""
    async with _keys(settings) as keys:
        key = await keys.revoke(name)
    print(f"Revoked: {key.key_id} ({key.name}, of {key.owner}).", file=sys.stderr)
