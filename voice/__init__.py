"""Live voice: conversations by sound, of which neither HTTP nor an engine is known here."""
