"""Anthropic's Messages API, on top of chats: requests, answers and their events."""
