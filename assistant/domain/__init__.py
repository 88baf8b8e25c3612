"""What a conversation is: messages, events, turns and errors. Pure: no clock, no I/O, no randomness.

Values here are frozen pydantic models because the same JSON is what the store keeps and what the wire carries:
an event is serialised once, when it is made, and never translated on its way to the client.
"""
