"""Requests refreshes of Warehouses, retries those that failed, and tracks each one until its Freight exists.

May import `deliveries` and the layers below it.
"""
