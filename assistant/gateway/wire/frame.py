"""What all frames of the protocol have, and its fixed numbers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from websockets.typing import Subprotocol

SUBPROTOCOL = Subprotocol("assistant.v1")
PROTOCOL = 1
HEARTBEAT_SECONDS = 15
CHUNK_BYTES = 256 * 1024
FRAME_BYTES = 1024 * 1024

CLOSE_POLICY = 1008
CLOSE_INTERNAL = 1011
CLOSE_RESTART = 1012
CLOSE_BUSY = 1013
CLOSE_REVOKED = 4001

CommandId = Annotated[str, Field(min_length=1, max_length=64)]


class Frame(BaseModel):
    """A frame. Unknown fields of a command are an error that names them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        return self.model_dump_json(exclude_none=True)


class CursorFrame(Frame):
    epoch: Annotated[str, Field(max_length=64)]
    seq: Annotated[int, Field(ge=0, lt=2**53)]
