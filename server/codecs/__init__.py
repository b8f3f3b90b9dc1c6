"""Codecs: APIs that the gateway speaks itself, translated into a chat with an engine and back."""
