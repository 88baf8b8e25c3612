"""The base of every domain value: frozen, strict about unknown fields, serialised without absent optionals."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """An immutable value. Unknown fields are an error, so that a typo never passes in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64")

    def to_json(self) -> str:
        """The one JSON form of this value, as stored and as sent."""
        return self.model_dump_json(exclude_none=True)
