"""Builds the image without a container engine: buildah in a chroot, on a Debian base made by mmdebstrap."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.clusters import ROOT
from tests.components import require, skip

RELEASE: Final = "bookworm"
# On top of the essential packages, and of apt, whose libraries the official image has as well.
PACKAGES: Final = "python3,python3-venv,python3-pip,python-is-python3,ca-certificates"
CERTIFICATES: Final = ("/etc/ssl/certs", "/usr/local/share/ca-certificates")  # those of a proxy, for pip
BUILT: Final = (
    "Dockerfile",
    "LICENSE",
    "manage.py",
    "requirements.lock",
    "kargoweb",
    "receivers",
    "static",
    "templates",
)


class Image:
    """The built image, and a container of it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._options: list[str] = []
        # vfs works everywhere, but each layer and each container is a copy of the whole file system.
        for driver in ("overlay", "vfs"):
            self._options = [
                "--root", str(directory / driver), "--runroot", str(directory / f"{driver}-run"),
                "--storage-driver", driver,
            ]  # fmt: skip
            if driver == "vfs" or self._run("info").returncode == 0:
                break
        self.container = ""
        self.root = Path()

    def buildah(self, *arguments: str | Path) -> str:
        """Run buildah and return its output."""
        done = self._run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout.strip()

    def _run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [require("buildah"), *self._options, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def build(self) -> None:
        """Build the base and the image."""
        base = self.buildah("from", "scratch")
        root = self.buildah("mount", base)
        # It needs half the CPU time of debootstrap.
        command = [
            require("mmdebstrap"), "--quiet", "--mode=root", "--variant=apt", f"--include={PACKAGES}",
            RELEASE, root,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        # Debian's Python refuses to remove pip, which the official image's doesn't.
        for mark in Path(root).glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            mark.unlink()
        self.buildah("commit", "--quiet", "--rm", base, "python-base")
        context = self._directory / "context"
        context.mkdir()
        for name in BUILT:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, context / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, context)
        volumes = [f"--volume={path}:{path}:ro" for path in CERTIFICATES if Path(path).is_dir()]
        self.buildah(
            "build", "--isolation", "chroot", "--quiet", "--network", "host", *volumes,
            "--build-arg", "PYTHON_IMAGE=localhost/python-base", "--tag", "kargoweb", context,
        )  # fmt: skip
        self.container = self.buildah("from", "localhost/kargoweb")
        self.root = Path(self.buildah("mount", self.container))

    def command(self, *arguments: str, **variables: str) -> list[str]:
        """Return the command that runs a program in the container, as its user, with these variables."""
        environment = [f"--env={name}={value}" for name, value in variables.items()]
        run = ("run", "--isolation", "chroot", "--network", "host", *environment, self.container, "--")
        return [require("buildah"), *self._options, *run, *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the container."""
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image, built once."""
    if os.geteuid() != 0:
        skip("building an image needs root")
    image = Image(tmp_path_factory.mktemp("image"))
    image.build()
    yield image
    image.buildah("rm", image.container)
