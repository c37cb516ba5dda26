"""The delivery log: writing, filters and bounded reads, statistics, deduplication, redelivery, timeline, retention.

Imports `accounts`, `models` and `kargo`.
"""
