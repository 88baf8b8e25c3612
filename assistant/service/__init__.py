"""What the assistant does with a turn: accept it, choose a tool or plain chat, build the prompt, stream the answer."""
