"""The paths of the demo's files in `<data directory>/demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DemoPaths:
    """The demo's files. The directory is created when the demo first starts."""

    directory: Path

    @property
    def kubeconfig(self) -> Path:
        """Return the kubeconfig of the demo's API server."""
        return self.directory / "kubeconfig"

    @property
    def objects(self) -> Path:
        """Return the file with the API server's objects."""
        return self.directory / "objects.jsonl"

    @property
    def registry(self) -> Path:
        """Return the SQLite file with the registry's tags."""
        return self.directory / "registry.sqlite3"

    @property
    def password(self) -> Path:
        """Return the file with the password of the user `admin`."""
        return self.directory / "password"

    @property
    def push_body(self) -> Path:
        """Return the file with a webhook body of Docker Hub, for use with curl."""
        return self.directory / "push.json"

    @property
    def lock(self) -> Path:
        """Return the file that a running demo has locked."""
        return self.directory / "lock"

    def log(self, child: str) -> Path:
        """Return the log of a child process since its last start."""
        return self.directory / f"{child}.log"
