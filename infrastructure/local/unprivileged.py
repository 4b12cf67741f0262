"""Running PostgreSQL when we are root, as which it refuses to run.

The server gets the user who owns its data folder, `nobody` for a new one: no account is created for it.
That user often may not enter the folders that lead to the data and to the program (/root is mode 0700, and
so are temporary folders). Opening them to everybody would change the machine behind its owner's back;
instead the server keeps one capability, to enter and read folders, set by util-linux's `setpriv`.
"""

import os
import pwd
import shutil
from pathlib import Path

from infrastructure.local.processes import EmbeddedServerError

# Bit numbers of linux/capability.h, the lesser right first. A container's root usually has only the second.
_WAYS_IN = {"dac_read_search": 2, "dac_override": 1}


def server_user(cluster: Path) -> int | None:
    """The user id a server on this folder must run as; None: as ourselves, who are not root."""
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat().st_uid) != 0:
        return owner
    return pwd.getpwnam("nobody").pw_uid


def command_prefix(user: int | None) -> list[str]:
    """What to put before a command line so that it runs as `user`.

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
    prefix = [setpriv, f"--reuid={user}", f"--regid={group}", "--clear-groups", "--bounding-set=-all"]
    way_in = _permitted_way_in()
    if way_in is None:
        return [*prefix, "--"]
    return [
        *prefix[:-1],
        # access(2), by which PostgreSQL finds its own program, ignores capabilities without this bit.
        "--securebits=+no_setuid_fixup",
        f"--inh-caps=-all,+{way_in}",
        f"--ambient-caps=-all,+{way_in}",
        f"--bounding-set=-all,+{way_in}",
        "--",
    ]


def _permitted_way_in() -> str | None:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    permitted = int(status.partition("CapPrm:")[2].split()[0], 16)
    return next((name for name, bit in _WAYS_IN.items() if permitted >> bit & 1), None)
