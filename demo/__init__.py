"""The demo: a Kargo installation in a box."""
