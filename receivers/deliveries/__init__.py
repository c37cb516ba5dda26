"""The delivery log: writing, filters and bounded reads, statistics, deduplication, redelivery, timeline, retention.

May import `accounts`, `cluster`, `models` and `kargo`.
"""
