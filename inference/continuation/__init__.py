"""Continuation: an answer that fills its context continues in a larger variant."""
