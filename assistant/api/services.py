"""What the handlers of requests have, and what they are asked."""

from dataclasses import dataclass, field

from starlette.requests import Request

from assistant.api.events import EventStream
from assistant.domain.access import Identity
from assistant.gateway.auth import Authenticator
from assistant.gateway.live import LiveSockets
from assistant.gateway.pictures import Intake
from assistant.gateway.presence import Presence
from assistant.ports.conversations import ConversationStore
from assistant.ports.surroundings import Health
from assistant.service.limits import Limits
from assistant.service.sessions import Sessions
from assistant.service.submissions import Submissions


@dataclass(frozen=True, slots=True)
class Services:
    """What an API server has for all its clients.

    Attributes:
        kept: owners' conversations, to list, rename, export and delete.
        door: who is let in.
        live: whom a revoked key ends.
        presence: how many streams owners have; each counts as a socket.
        streams: all that are open.
    """

    conversations: ConversationStore
    submissions: Submissions
    kept: Sessions
    intake: Intake
    limits: Limits
    door: Authenticator
    live: LiveSockets
    presence: Presence
    health: Health
    streams: set[EventStream] = field(default_factory=set)

    def end_streams(self) -> None:
        """End all streams: the server stops."""
        for stream in self.streams:
            stream.end()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and who sent it: nobody in particular where the route is for all."""

    request: Request
    identity: Identity | None = None

    @property
    def who(self) -> Identity:
        """Raises ``RuntimeError`` on a route for all."""
        if self.identity is None:
            raise RuntimeError("this route asks for nobody")
        return self.identity

    @property
    def owner(self) -> str:
        return self.who.owner
