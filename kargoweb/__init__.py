"""Wiring: settings, addresses, the application that is served."""
