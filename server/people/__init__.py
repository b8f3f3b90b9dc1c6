"""Logins, and the APIs for users and for those who look after them. Only where accounts are on."""
