"""Live voice by HTTP: sessions, their websockets, and how they ask models."""
