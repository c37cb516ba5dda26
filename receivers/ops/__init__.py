"""The serving process: its threads (start, schedule, stop), the probes for Kubernetes and the metrics for Prometheus.

Imports every room that runs in the background. Pages and the API get the running process from here.
"""
