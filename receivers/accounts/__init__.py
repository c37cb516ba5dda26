"""Users and what they may do: roles, access to projects, the audit log, client addresses.

Imports `models` and `kargo`.
"""
