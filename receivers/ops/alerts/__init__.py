"""Alerts: send what needs action to people. Start reading at `desk.py`."""
