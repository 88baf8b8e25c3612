"""The websocket protocol described for other programs and for people, made from the models of its frames alone.

``frames`` finds the models; ``schema`` makes the JSON Schema, and the other files here write what is made from it.
Nothing here is needed to serve.
"""
