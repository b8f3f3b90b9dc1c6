"""Ollama's API: its requests as requests to an engine, and an engine's answers as its answers."""
