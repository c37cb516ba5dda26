"""A simulated Kubernetes API server with the semantics that kargoweb, kubectl and the tests rely on.

It does not depend on Django or kargoweb. Start it with `python -m demo.apiserver`.
"""
