"""Answers from models, without a word of HTTP."""
