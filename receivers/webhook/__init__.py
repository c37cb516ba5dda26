"""A request arrives: the endpoint, the intake that records and answers it, test tokens, retired and unknown URLs.

Imports `refreshes`, `deliveries`, `cluster` and the rooms below them.
"""
