"""A simulated Kubernetes API server with the semantics that kargoweb, kubectl and the tests rely on.

A request passes through these modules: `wire` reads it, `access` authenticates it, `routes` finds the object, and
`queries`, `writer` or `deleter` handles the verb. `storage` has the objects, and `api` connects all of them.

The server does not depend on Django or kargoweb. Start it with `python -m demo.apiserver`.
"""
