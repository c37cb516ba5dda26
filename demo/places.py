"""Where the demo keeps its state: files in `<data directory>/demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """The demo's files; the directory is made when the demo first starts."""

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
        """Return the file with a body as Docker Hub sends it, for the command line to post."""
        return self.directory / "push.json"

    @property
    def lock(self) -> Path:
        """Return the file that a running demo holds a lock on."""
        return self.directory / "lock"

    def log(self, child: str) -> Path:
        """Return the file with all that a child process has said since it was started last."""
        return self.directory / f"{child}.log"
