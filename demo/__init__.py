"""The demo: kargoweb with a simulated Kargo installation on this machine."""
