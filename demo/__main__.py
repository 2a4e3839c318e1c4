"""`python -m demo`; `make demo` sets up the environment first. Settings come from the environment, see `demo.options`."""

import signal
import sys

# Until the demo has handlers of its own, an impatient Ctrl-C ends it without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from demo.run import main  # noqa: E402  # the line above has to come first

sys.exit(main())
