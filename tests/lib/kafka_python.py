"""kafka-python, with the codecs that it takes from other packages."""
import importlib
import logging
import sys

from lib.pip import install

PACKAGES = [("kafka-python", "3.0.12"), ("lz4", "4.4.5"), ("zstandard", "0.25.0")]


def load(name="kafka"):
    """One of its modules. It looks for codecs once, when a process first imports it, so that
    whoever comes first brings them all."""
    for package, version in PACKAGES:
        folder = install(package, version)
        if folder not in sys.path:
            sys.path.insert(0, folder)
    logging.getLogger("kafka").setLevel(logging.ERROR)
    return importlib.import_module(name)
