"""The Kubernetes service layer: client, errors, the cache of Kargo's objects (list and watch), heartbeats, Secrets.

The only room that imports `kubernetes`. May import `kargo`, and nothing of Django.
"""
