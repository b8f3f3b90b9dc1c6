"""OpenAI's Responses API, on top of chats: requests, items, answers and their events."""
