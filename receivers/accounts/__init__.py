"""People and what they may do: roles, access to projects, the audit log, the client's address.

Imports `models` and `kargo`.
"""
