"""Everything that knows llama-server."""
