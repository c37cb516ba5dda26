"""Tools for work on kargoweb."""
