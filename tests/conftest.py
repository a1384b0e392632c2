"""Fixtures for every test."""

import signal
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # `import tiny_models`; the tests are no package

# A runner in the background hands down that SIGINT is ignored (POSIX, "asynchronous lists"); tests send it to what they
# start, which inherits that. Time-outs need SIGALRM, too.
signal.pthread_sigmask(signal.SIG_SETMASK, ())
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

settings.register_profile("modelport", deadline=None)  # no test depends on how busy the machine is
settings.load_profile("modelport")
