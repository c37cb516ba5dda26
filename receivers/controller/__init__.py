"""Manage receivers in place of Kargo's controller: read Secrets, compute URLs, write the status; create receivers.

May import `webhook` and the layers below it; today it needs only `cluster` and `kargo`.
"""
