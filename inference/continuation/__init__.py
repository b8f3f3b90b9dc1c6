"""Answers that fill their context and go on in a larger one, as one answer to the client."""
