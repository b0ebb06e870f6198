"""Starts a program that ends with its starter: `python -I -S child.py PARENT NICENESS PROGRAM ARGUMENTS...`.

A file of its own that imports nothing of ours: it is run in the moment between fork and exec of a child, costs 15 ms,
and lets even a SIGKILL of core take the dashboard along, so that no orphan holds its port.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for SIGTERM when the parent dies, then become the program."""
    parent = int(sys.argv[1])
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        sys.stderr.write("leafbox: this kernel does not end children with their parent\n")
    if os.getppid() != parent:
        # It died before the kernel was asked.
        sys.exit(1)
    stand_back(int(sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])


def stand_back(niceness: int) -> None:
    """Let those with a lower value go first. Where the kernel groups processes by session, the group stands back."""
    if niceness <= 0:
        return
    os.nice(niceness)
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as group:
            group.write(str(niceness))
    except OSError:
        # This kernel does not group, or does not let us; the niceness of the process is what counts then.
        return


if __name__ == "__main__":
    main()
