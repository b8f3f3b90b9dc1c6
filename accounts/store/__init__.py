"""The database of accounts: one thread writes it."""
