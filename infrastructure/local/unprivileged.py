"""Running PostgreSQL when we are root, as which it refuses to run.

The server gets the user who owns its data folder, `nobody` for a new one: no account is created for it. It has no
capability at all: one that opens folders (`dac_read_search`) would hand root's files to every `pg_read_file`
and to what `COPY … FROM PROGRAM` starts. But that user often may not enter the folders that lead to the data
and to the programs (/root is mode 0700, and so are temporary folders), and opening them to everybody would change
the machine behind its owner's back. So the server inherits the data folder as an open file descriptor, and
`/proc/self/fd/N` leads into it from anywhere. For programs that is not enough, because PostgreSQL
resolves the path of its own: where they cannot be reached, the server runs on a copy in a temporary folder.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from infrastructure.local.processes import EmbeddedServerError


def server_user(cluster: Path) -> int | None:
    """The user id a server on this folder must run as; None: as ourselves, who are not root."""
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat().st_uid) != 0:
        return owner
    return pwd.getpwnam("nobody").pw_uid


def command_prefix(user: int | None) -> list[str]:
    """What to put before a command line so that it runs as `user`, without capabilities.

    Raises EmbeddedServerError where that is impossible: run RAS as an ordinary user then.
    """
    if user is None:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedServerError(
            "PostgreSQL does not run as root, and the command `setpriv` (package util-linux) is missing: "
            "run as an ordinary user, or set RAS_DATABASE_URL to a server of your own"
        )
    group = pwd.getpwuid(user).pw_gid
    return [
        *(setpriv, f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"),
        *("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--"),
    ]


def through(descriptor: int) -> str:
    """Return a path to an open file or folder for a process that has inherited `descriptor`, and for its children."""
    return f"/proc/self/fd/{descriptor}"


def reachable_programs(programs: Path, user: int) -> tuple[Path, Path | None]:
    """Return programs that `user` can run and read: `programs`, or a copy and the new temporary folder that it is in.

    Raises EmbeddedServerError if there is no place for the copy. The caller removes that folder.
    """
    if _reaches(programs, user):
        return programs, None
    installed = programs.resolve()
    for place in dict.fromkeys((tempfile.gettempdir(), "/var/tmp", "/tmp", "/dev/shm")):  # noqa: S108 - mkdtemp
        if not os.access(place, os.W_OK):
            continue
        folder = Path(tempfile.mkdtemp(prefix="ras-postgres-", dir=place))
        folder.chmod(0o755)
        copy = folder / installed.parent.name / installed.name
        shutil.copytree(installed, copy, symlinks=True)
        libraries = installed.parent.with_suffix(
            ".libs"
        )  # where wheels have them, found from the programs' place
        if libraries.exists():
            shutil.copytree(libraries, folder / libraries.name)
        if _reaches(copy, user):
            return copy, folder
        shutil.rmtree(folder)
    raise EmbeddedServerError(
        f"the user {pwd.getpwuid(user).pw_name}, as whom PostgreSQL runs when RAS is started by root, can read "
        f"neither {programs} nor a temporary folder: run as an ordinary user, or set RAS_DATABASE_URL to a "
        "server of your own"
    )


def _reaches(programs: Path, user: int) -> bool:
    """Whether `user` can run the server and read what is installed with it."""
    samples = [next((programs / name).iterdir(), programs / name) for name in ("lib", "share")]
    commands = [
        *([str(programs / "bin" / name), "--version"] for name in ("postgres", "initdb")),
        *(["test", "-r", str(sample)] for sample in samples),
    ]
    return all(
        subprocess.run(  # noqa: S603 - our own command, no shell
            [*command_prefix(user), *command], cwd="/", capture_output=True, check=False
        ).returncode
        == 0
        for command in commands
    )
