"""The readers of requests: one for each form of a prompt. Pure."""
