"""Manage receivers in place of Kargo's controller: read Secrets, compute URLs, write the status.

Imports `cluster` and `kargo`.
"""
