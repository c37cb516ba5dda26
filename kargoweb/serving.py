"""The WSGI application of a serving process: Django, and beside it the background threads."""

from multiprocessing.util import Finalize

from django.conf import settings

from kargoweb.wsgi import application
from receivers import runtime

__all__ = ["application"]

# granian's workers are processes of `multiprocessing`, which leave without running atexit's functions.
Finalize(None, runtime.start(settings.KARGOWEB).stop, exitpriority=1)
