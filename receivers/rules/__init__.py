"""Kargo's rules, pure: plain values in, plain values out. No Django, no Kubernetes, no clock, no network."""
