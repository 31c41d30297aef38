"""What every test runs under: reproducible property tests and a matplotlib without a screen."""

import os

from hypothesis import settings

# Before any test imports matplotlib. numba's cache folder stays as it is: a second run compiles
# nothing.
os.environ["MPLBACKEND"] = "Agg"

# No deadline, because the first example pays for numba's compilation; derandomised, so that a
# failure in one run is a failure in the next.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci")
