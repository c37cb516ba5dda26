"""Users and what they may do: roles, access to projects, API tokens, sign-in, the audit log, client addresses.

May import `models` and `kargo`.
"""
