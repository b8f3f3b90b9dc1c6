"""The engine that comes along: llama-server's flags on an embedded llama.cpp."""
