"""A Llama-like network with weights of 4 or 8 bits, in C++ that is compiled where it runs."""
