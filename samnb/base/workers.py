"""Worker processes that do not outlive the process they work for."""

import multiprocessing
import os
import threading
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """Initializer of a pool's workers: end at once when the parent is gone.

    A worker whose parent was killed would otherwise wait for work for ever.
    """
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
