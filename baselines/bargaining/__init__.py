"""Cooperation among participants, how its gain is shared, and who lies about it."""
