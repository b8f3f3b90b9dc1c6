"""Who gets an engine and which engine lives: pure decisions."""
