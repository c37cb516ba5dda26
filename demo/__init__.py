"""The demo: kargoweb with a simulated Kargo installation on one machine, without Kubernetes.

`manage.py demo` starts three processes: a Kubernetes API server (`apiserver`), Kargo's controller (`controller`) and
kargoweb. `manage.py push` simulates Docker Hub: it adds a tag to the registry and calls the webhooks.
"""
