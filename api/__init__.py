"""The faces, and the Django project.

One BLAS thread: our matrices are small, and threads that fight over busy cores made a fit of one
second take up to nine. Set before anything imports numpy; an explicit setting wins.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
