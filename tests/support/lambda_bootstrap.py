"""What the managed runtime does before the handler: the function and its layers come first on the path, then awslambdaric."""

import os
import sys

sys.path[:0] = os.environ["LAMBDA_PATH"].split(os.pathsep)

# Only now: a layer may bring its own.
from awslambdaric.__main__ import main  # type: ignore[import-not-found]  # noqa: E402

if __name__ == "__main__":
    main([sys.argv[0], os.environ["_HANDLER"]])
