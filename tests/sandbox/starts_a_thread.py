"""A module that a worker must refuse to preload: a fork could hang on a lock that its thread held."""

import threading
import time

threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
