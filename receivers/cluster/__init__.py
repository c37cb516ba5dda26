"""The Kubernetes service layer: the only place that imports `kubernetes`."""
