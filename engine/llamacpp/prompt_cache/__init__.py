"""The prompt cache on disk: save the slots of an engine before a stop, and restore them later."""
