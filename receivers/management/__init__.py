"""Commands of `manage.py`, and how they print deliveries.

May import any room. Nothing imports it.
"""
