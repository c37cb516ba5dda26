"""Receivers managed by kargoweb: reads Secrets, computes URLs, writes the status that Kargo's controller would write.

Imports `cluster` and `kargo`.
"""
