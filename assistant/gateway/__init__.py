"""The websocket session server: port 8000, the web client and the session protocol."""
