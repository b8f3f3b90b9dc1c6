"""Piper's HTTP server, and what makes OpenAI's speech of it."""
