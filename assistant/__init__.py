"""The assistant service: conversations that survive, answered by a model that looks at the pictures."""
