"""A module that takes long to import, as torch does from a cold disk."""

import time

time.sleep(5)
