"""The HTTP API: the commands of the websocket protocol as requests, on the same stores."""
