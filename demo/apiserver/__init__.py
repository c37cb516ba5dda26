"""A small Kubernetes API server: enough of one for kargoweb, for kubectl and for tests, with real semantics.

It knows nothing of Django or of kargoweb. Start it with `python -m demo.apiserver`.
"""
