"""Alerts: what needs action, told to people where they are. `desk.py` is where to start reading."""
