"""The serving process: its threads (start, schedule, stop), probes for Kubernetes, metrics for Prometheus, and alerts.

May import every room that runs in the background. Pages and the API get the running process from here.
"""
