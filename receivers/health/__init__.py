"""Health checks (pure functions from facts to findings), the facts they need, mutes, missed pushes and permissions.

Imports `webhook`, `deliveries`, `cluster` and what is below them.
"""
