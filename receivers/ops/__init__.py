"""The serving process: its threads (start, schedule, stop), the probes for Kubernetes and the metrics for Prometheus.

Imports every room that runs in the background; pages and the API read the running process from here.
"""
