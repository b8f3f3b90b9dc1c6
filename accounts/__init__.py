"""Accounts: who asks, what they may do, and what they pay. Imported only where they are on."""
