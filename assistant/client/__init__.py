"""Python SDK: talk to an assistant over its websocket, through whatever drops.

async with Client("ws://127.0.0.1:8000/v1/ws") as client:
    session = await client.open()
    picture = await client.upload(Path("cat.jpg").read_bytes())
    async for event in session.ask("What is this?", images=[picture]):
        if isinstance(event, TurnDelta):
            print(event.text, end="", flush=True)
"""

from assistant.client.client import Client, Picture
from assistant.client.errors import ClientError, ServerRefused
from assistant.client.session import Session
from assistant.domain.limits import Standing

__all__ = ["Client", "ClientError", "Picture", "ServerRefused", "Session", "Standing"]
