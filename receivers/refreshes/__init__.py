"""Asks Warehouses to refresh, retries what failed, and follows each attempt until its Freight exists.

Imports `deliveries`, `cluster` and what is below them.
"""
