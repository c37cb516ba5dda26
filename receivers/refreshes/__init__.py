"""Requests refreshes of Warehouses, retries those that failed, and tracks each one until its Freight exists.

Imports `deliveries`, `cluster` and the layers below them.
"""
