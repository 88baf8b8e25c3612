"""Frames of the websocket protocol, version 1: the commands of clients, and the answers of the server.

Pure. Session events are not here: they come from ``domain.events`` and pass through as stored. Every text frame is one
JSON object with ``type``; a command carries ``id`` and is answered by exactly one ``ack`` or ``error`` that names it.
A binary frame is a piece of a picture: 16 bytes upload id (RFC 9562 UUID), 8 bytes offset (big-endian), data.
"""
