"""The bundled engine: an embedded llama.cpp with the flags of llama-server."""
