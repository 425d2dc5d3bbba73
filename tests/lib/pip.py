"""Packages of the package index that tests need, kept in build/deps for later runs."""
import fcntl
import subprocess
import sys

from lib.server import ROOT

DEPS = ROOT / "build" / "deps"


def install(package, version):
    """The folder that the package is in."""
    target = DEPS / f"{package}-{version}"
    DEPS.mkdir(parents=True, exist_ok=True)
    # Of two that want it at the same time, one makes it.
    with open(DEPS / "pip.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            half = target.with_name(f"{target.name}.half")
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
                            "--disable-pip-version-check", "--upgrade", "--target", half,
                            f"{package}=={version}"], check=True)
            half.rename(target)
    return str(target)
