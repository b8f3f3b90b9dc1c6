"""OpenAI's Realtime API: its session, its events of clients, its events of the server."""
